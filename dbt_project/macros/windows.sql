{# Windows over an asset's own values, as known for row t.

   Fast path: a key read in one version only, from its own day on, has the value of its own row
   whatever t is, so window functions over those rows are right. Slow path: a row whose window
   touches a late or revised key, or looks across an outage, is recomputed from the versions. Both
   yield the same columns <column>_<age in days>, which are turned into measures by one formula. #}


{# Columns <column>_0 .. <column>_<oldest_age> of the rows before, over the window `asset_history`. #}
{% macro lagged(column, oldest_age) -%}
    {{ column }} as {{ column }}_0
    {%- for age in range(1, oldest_age + 1) -%}
    ,
        lag({{ column }}, {{ age }}) over asset_history as {{ column }}_{{ age }}
    {%- endfor %}
{%- endmacro %}


{# The same columns, null where that row is not of that day: the spine has gaps. #}
{% macro on_their_days(column, oldest_age) -%}
    {{ column }}_0
    {%- for age in range(1, oldest_age + 1) -%}
    ,
        case when date_{{ age }} = date - {{ age }} then {{ column }}_{{ age }} end as {{ column }}_{{ age }}
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


{# Rows (asset_id, date) after days without a row, that still look at labels before them: those rows
   back is not those days back, and a median takes however many values there are. #}
{% macro rows_after_an_outage(days, days_after, oldest_age) -%}
    select
        asset_id,
        next_date + cast(unnest(range(date + {{ oldest_age - days_after + 1 }} - next_date)) as integer) as date
    from (
        select
            asset_id,
            date,
            lead(date) over (partition by asset_id order by date) as next_date
        from {{ days }}
    )
    where next_date > date + 1 and next_date <= date + {{ oldest_age - days_after }}
{%- endmacro %}


{# The newest of `column` of the days first .. first + staleness_days back: a level. #}
{% macro level(column, first=0) -%}
    coalesce(
        {%- for age in range(first, first + (var('staleness_days') | int) + 1) -%}
            {{ column }}_{{ age }},{{ ' ' }}
        {%- endfor -%}
    null)
{%- endmacro %}
