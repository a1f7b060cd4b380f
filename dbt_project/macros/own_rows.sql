{# Whether a left join on an asset's day found a row of the versions `fact`, and one only assumed to
   have been known in time; 0 or 1. #}


{% macro has_row(fact) -%}
    cast({{ fact }}.is_assumed is not null as integer)
{%- endmacro %}


{% macro has_assumed_row(fact) -%}
    cast(coalesce({{ fact }}.is_assumed, false) as integer)
{%- endmacro %}
