{# A sum of doubles whose bits depend on nothing but the values: each is rounded to a multiple of
   2 ** -bits, and whole numbers add up exactly in any order, on any number of threads. Sorting
   before adding would do as well, at twenty times the cost.

   USD: 20 bits, a millionth of a dollar. Rates and what they earn: 80 and 40 bits, far below the
   last bit of any of them. #}
{% macro exact_sum(expression, bits) -%}
    cast(sum(cast(({{ expression }}) * pow(2, {{ bits }}) as hugeint)) as double) / pow(2, {{ bits }})
{%- endmacro %}
