{# A sum of doubles whose bits depend on nothing but the values: each is rounded to a multiple of
   2 ** -bits, and whole numbers add up exactly in any order, on any number of threads. Sorting
   before adding would do as well, at twenty times the cost.

   40 bits for USD, 80 for funding rates, 60 for what is made of them, returns and hours: far below
   the last bit that matters, with room for 1e26 USD, rates of 1e14 and the others' 1e20. #}
{% macro exact_sum(expression, bits) -%}
    cast(sum(cast(({{ expression }}) * pow(2, {{ bits }}) as hugeint)) as double) / pow(2, {{ bits }})
{%- endmacro %}
