{# Windows over an asset's own values, as known for row t.

   Fast path: a key read in one version only, from its own day on, has the value of its own row
   whatever t is, so window functions over those rows are right. Slow path: a row whose window
   touches a late or revised key is recomputed from the versions. Both yield the same columns
   <column>_<age in days>, which are turned into measures by one formula for both. #}


{# Columns <column>_0 .. <column>_<oldest_age> of the fast path, over the window `asset_history`.
   The spine has gaps, hence the look at the date. #}
{% macro lagged(column, oldest_age) -%}
    {{ column }} as {{ column }}_0
    {%- for age in range(1, oldest_age + 1) -%}
    ,
        case when lag(date, {{ age }}) over asset_history = date - {{ age }} then lag({{ column }}, {{ age }}) over asset_history end as {{ column }}_{{ age }}
    {%- endfor %}
{%- endmacro %}


{# The same columns of the slow path, over rows (asset_id, date, age, column). #}
{% macro recomputed(column, oldest_age) -%}
    {%- for age in range(oldest_age + 1) -%}
        max({{ column }}) filter (where age = {{ age }}) as {{ column }}_{{ age }}{% if not loop.last %},
        {% endif %}
    {%- endfor %}
{%- endmacro %}


{# Rows (asset_id, date) whose window of `oldest_age` days back reads a late or revised key. #}
{% macro rows_touched(versions, oldest_age) -%}
    select
        asset_id,
        read_from + cast(unnest(range(date + {{ oldest_age + 1 }} - read_from)) as integer) as date
    from {{ versions }}
    where is_read and not is_on_time and read_from <= date + {{ oldest_age }}
{%- endmacro %}


{# The newest of `column` of the days first .. first + staleness_days back: a level. #}
{% macro level(column, first=0) -%}
    coalesce(
        {%- for age in range(first, first + (var('staleness_days') | int) + 1) -%}
            {{ column }}_{{ age }},{{ ' ' }}
        {%- endfor -%}
    null)
{%- endmacro %}
