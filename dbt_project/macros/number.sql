{# A measure as a double; NaN means missing. #}
{% macro number(column) -%}
    nullif(cast({{ column }} as double), cast('nan' as double))
{%- endmacro %}
