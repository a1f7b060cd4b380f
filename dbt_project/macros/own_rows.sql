{# Whether a left join on an asset's day found a row of the versions `fact`, and one only assumed to
   have been known in time; 0 or 1. #}


{% macro has_row(fact) -%}
    cast({{ fact }}.known_basis is not null as integer)
{%- endmacro %}


{% macro has_assumed_row(fact) -%}
    cast({{ fact }}.known_basis is not distinct from 'assumed' as integer)
{%- endmacro %}
