{# A sum of doubles whose bits depend on nothing but the values. Each is taken apart into whole units of
   2 ** -bits and what is left in 2 ** -38 of a unit, rounded down; doubles hold whole numbers up to 2 ** 53,
   so both sums are exact in any order, on any number of threads. Sorting before adding would do as
   well, at twenty times the cost; sums of 128-bit integers take twice as long.

   -7 bits for USD, 40 for funding rates, 10 for their product, 30 for returns and hours: fine to 5e-10
   USD and 3e-24 of a rate, with room for 32,768 rows, 1e18 USD and rates of 8,000; what is larger adds
   up as doubles do. #}
{% macro exact_sum(expression, bits) -%}
    {%- set units = '(' ~ expression ~ ') * pow(2, ' ~ bits ~ ')' -%}
    (
        sum(floor({{ units }}))
        + sum(floor(({{ units }} - floor({{ units }})) * pow(2, 38))) / pow(2, 38)
    ) / pow(2, {{ bits }})
{%- endmacro %}
