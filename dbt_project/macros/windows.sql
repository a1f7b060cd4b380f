{# Windows over an asset's own values, as known for row t.

   Fast path: a key read in one version only, from its own day on, has the value of its own row
   whatever t is, so window functions over those rows are right. Slow path: a row whose window
   touches a late or revised key is recomputed from the versions. Both paths yield the same columns
   <column>_<age in days>, which the caller turns into measures with one formula for both. #}


{# Value of `column` of day t - age, over the rows of the window `asset_history` (order by date). #}
{% macro value_at_age(column, age) -%}
    {%- if age == 0 -%}
        {{ column }}
    {%- else -%}
        case when lag(date, {{ age }}) over asset_history = date - {{ age }} then lag({{ column }}, {{ age }}) over asset_history end
    {%- endif -%}
{%- endmacro %}


{# CTE `values_by_age` over the CTEs `days` (asset_id, date, column) and `versions`. #}
{% macro values_by_age(column, oldest_age) -%}
    rows_to_recompute as (

        {% if var('force_slow_path') -%}
            select
                asset_id,
                date
            from days
        {%- else -%}
            select distinct
                asset_id,
                read_from + cast(unnest(range(date + {{ oldest_age + 1 }} - read_from)) as integer) as date

            from versions
            where
                is_read
                and not is_on_time
                and read_from <= date + {{ oldest_age }}
        {%- endif %}

    ),

    lagged as (

        select
            asset_id,
            date,
            {% for age in range(oldest_age + 1) -%}
                {{ value_at_age(column, age) }} as {{ column }}_{{ age }}{{ ',' if not loop.last }}
            {% endfor %}

        from days

        window asset_history as (partition by asset_id order by date)

    ),

    unrevised as (

        select lagged.*
        from lagged
        anti join rows_to_recompute using (asset_id, date)

    ),

    wanted as (

        select
            days.asset_id,
            days.date,
            unnest(range({{ oldest_age + 1 }})) as age

        from days
        semi join rows_to_recompute using (asset_id, date)

    ),

    recomputed as (

        select
            wanted.asset_id,
            wanted.date,
            {% for age in range(oldest_age + 1) -%}
                max(versions.{{ column }}) filter (where wanted.age = {{ age }}) as {{ column }}_{{ age }}{{ ',' if not loop.last }}
            {% endfor %}

        from wanted
        left join versions
            on
                wanted.asset_id = versions.asset_id
                and wanted.date - cast(wanted.age as integer) = versions.date
                and versions.is_read
                and {{ reads('wanted.date', 'versions') }}
        group by wanted.asset_id, wanted.date

    ),

    values_by_age as (

        select * from unrevised
        union all
        select * from recomputed

    )
{%- endmacro %}


{# The newest of `column`_first .. `column`_first+staleness: a level. #}
{% macro level(column, first=0) -%}
    coalesce(
        {%- for age in range(first, first + (var('staleness_days') | int) + 1) -%}
            {{ column }}_{{ age }}{{ ', ' if not loop.last }}
        {%- endfor -%}
    , null)
{%- endmacro %}
