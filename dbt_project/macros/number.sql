{# A measure as a double; NaN means missing. A comparison with NaN would be folded away by file
   statistics, which leave NaN out, so it is asked for by name. #}
{% macro number(column) -%}
    case when not isnan(cast({{ column }} as double)) then cast({{ column }} as double) end
{%- endmacro %}
