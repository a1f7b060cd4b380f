{# A measure as a double; NaN means missing. Not by comparison with NaN: Parquet's statistics leave it
   out, so that DuckDB concludes that no value equals it. #}
{% macro number(column) -%}
    case when not isnan(cast({{ column }} as double)) then cast({{ column }} as double) end
{%- endmacro %}
