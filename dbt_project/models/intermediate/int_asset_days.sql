{#- A row lives on after its label: the levels of strategy.md section 2 may read it. -#}
{%- set days_after = [3, var('staleness_days') | int] | max -%}

{%- set facts = ['prices', 'market_caps', 'volumes', 'open_interests', 'perp_volumes'] -%}

with

prices as not materialized (

    select * from {{ ref('int_price_versions') }}

),

market_caps as not materialized (

    select * from {{ ref('int_market_cap_versions') }}

),

volumes as not materialized (

    select * from {{ ref('int_volume_versions') }}

),

open_interests as not materialized (

    select * from {{ ref('int_open_interest_versions') }}

),

perp_volumes as not materialized (

    select * from {{ ref('int_perp_volume_versions') }}

),

funding_days as not materialized (

    select * from {{ ref('int_funding_days') }}

),

{% for fact in facts %}
    own_{{ fact }} as (

        select * from {{ fact }}
        where is_on_time

    ),

{% endfor %}
own_funding_days as (

    select * from funding_days
    where count_rows > 0

),

own_rows as (

    select
        asset_id,
        date,
        own_prices.close_usd,
        own_market_caps.market_cap_usd,
        own_volumes.volume_usd,
        own_open_interests.open_interest_usd,
        own_perp_volumes.perp_volume_usd,

        coalesce(own_funding_days.count_rows, 0)
        {% for fact in facts %}
            + cast(own_{{ fact }}.known_basis is not null as integer)
        {% endfor %} as count_rows,
        coalesce(own_funding_days.count_assumed, 0)
        {% for fact in facts %}
            + cast(own_{{ fact }}.known_basis is not distinct from 'assumed' as integer)
        {% endfor %} as count_assumed

    from own_prices
    full join own_market_caps using (asset_id, date)
    full join own_volumes using (asset_id, date)
    full join own_open_interests using (asset_id, date)
    full join own_perp_volumes using (asset_id, date)
    full join own_funding_days using (asset_id, date)

),

last_dates as (

    {% for fact in facts %}
        select max(date) as last_date from {{ fact }}
        union all
    {% endfor %}
    select max(date) as last_date from funding_days

),

lake_end as (

    select max(last_date) as last_date from last_dates

),

followed as (

    select
        asset_id,
        date,
        lead(date) over (partition by asset_id order by date) as next_date

    from own_rows

),

spans_without_own_row as (

    select
        asset_id,
        date + 1 as first_day,
        least(date + {{ days_after }}, next_date - 1) as last_day

    from followed
    where next_date is distinct from date + 1

    union all

    {% for fact in facts %}
        select
            asset_id,
            read_from as first_day,
            date + {{ days_after }} as last_day

        from {{ fact }}
        where is_read and not is_on_time

        union all

    {% endfor %}
    select
        asset_id,
        first_read_on as first_day,
        date + {{ days_after }} as last_day

    from funding_days
    where first_read_on > date

),

days_without_own_row as (

    select distinct
        asset_id,
        first_day + cast(unnest(range(last_day + 1 - first_day)) as integer) as date

    from spans_without_own_row
    where first_day <= last_day

),

days as (

    select * from own_rows
    union all by name
    select
        days_without_own_row.asset_id,
        days_without_own_row.date,
        0 as count_rows,
        0 as count_assumed

    from days_without_own_row
    cross join lake_end
    anti join own_rows using (asset_id, date)
    where days_without_own_row.date <= lake_end.last_date

)

select
    asset_id,
    date,
    close_usd,
    market_cap_usd,
    volume_usd,
    open_interest_usd,
    perp_volume_usd,
    cast(count_rows as integer) as count_rows,
    cast(count_assumed as integer) as count_assumed
from days
