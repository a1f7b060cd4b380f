{# Windows over an asset's own values, as known for row t.

   Fast path: a key read in one version only, from its own day on, has the value of its own row
   whatever t is, so window functions over those rows are right. Slow path: a row whose window
   touches a late or revised key is recomputed from the versions. #}


{# How long a day is followed after its label: the levels of strategy.md section 2 may read it. #}
{% macro days_after_label() -%}
    {{ return([3, var('staleness_days') | int] | max) }}
{%- endmacro %}


{# Rows (asset_id, date) whose window of `oldest_age` days back reads a late or revised key. #}
{% macro rows_touched(versions, oldest_age) -%}
    select
        asset_id,
        read_from + cast(unnest(range(date + {{ oldest_age + 1 }} - read_from)) as integer) as date
    from {{ versions }}
    where is_read and not is_on_time and read_from <= date + {{ oldest_age }}
{%- endmacro %}


{# The newest `column` between two ages in days, over rows (asset_id, date, age, column): a level. #}
{% macro newest(column, youngest, oldest) -%}
    arg_min({{ column }}, age) filter (
        where {{ column }} is not null and age between {{ youngest }} and {{ oldest }}
    )
{%- endmacro %}


{# Columns `column_0`, `column_1`, ...: the values of the day and of the days before it. Levels read
   them: a lag costs a quarter of what a window that skips nulls does. #}
{% macro days_back(column, oldest) -%}
    {{ column }} as {{ column }}_0,
    {%- for age in range(1, oldest + 1) %}
        lag({{ column }}, {{ age }}) over asset_history as {{ column }}_{{ age }},
    {%- endfor %}
{%- endmacro %}


{# The newest of those columns between two ages in days: a level. #}
{% macro newest_of(column, youngest, oldest) -%}
    coalesce({% for age in range(youngest, oldest + 1) %}{{ column }}_{{ age }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}
