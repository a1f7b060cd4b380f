with

prices as (

    select * from {{ ref('int_price_versions') }}

),

market_caps as (

    select * from {{ ref('int_market_cap_versions') }}

),

volumes as (

    select * from {{ ref('int_volume_versions') }}

),

open_interests as (

    select * from {{ ref('int_open_interest_versions') }}

),

perp_volumes as (

    select * from {{ ref('int_perp_volume_versions') }}

),

funding_days as (

    select * from {{ ref('int_funding_days') }}

),

fact_rows as (

    {% for cte, column in [
        ('prices', 'close_usd'),
        ('market_caps', 'market_cap_usd'),
        ('volumes', 'volume_usd'),
        ('open_interests', 'open_interest_usd'),
        ('perp_volumes', 'perp_volume_usd'),
    ] -%}
    select
        asset_id,
        date,
        read_from as first_read_on,
        case when is_on_time then {{ column }} end as {{ column }},
        cast(is_on_time as integer) as count_rows,
        cast(is_on_time and known_basis = 'assumed' as integer) as count_assumed
    from {{ cte }}
    where is_read

    union all by name

    {% endfor -%}
    select
        asset_id,
        date,
        first_read_on,
        count_rows,
        count_assumed
    from funding_days

),

labelled_days as (

    select
        asset_id,
        date,
        min(first_read_on) as first_read_on,

        max(close_usd) as close_usd,
        max(market_cap_usd) as market_cap_usd,
        max(volume_usd) as volume_usd,
        max(open_interest_usd) as open_interest_usd,
        max(perp_volume_usd) as perp_volume_usd,

        sum(count_rows) as count_rows,
        sum(count_assumed) as count_assumed

    from fact_rows
    group by asset_id, date

),

followed as (

    select
        asset_id,
        date,
        first_read_on,
        lead(date) over (partition by asset_id order by date) as next_date,
        max(date) over () as last_date

    from labelled_days

),

-- A row lives on for three days after its label: the levels of strategy.md section 2 may read it.
days_without_own_row as (

    select distinct
        asset_id,
        first_day + cast(unnest(range(last_day + 1 - first_day)) as integer) as date

    from (
        select
            asset_id,
            greatest(first_read_on, date + 1) as first_day,
            least(date + {{ [3, var('staleness_days') | int] | max }}, last_date) as last_day
        from followed
        where next_date is distinct from date + 1 or first_read_on > date
    )
    where last_day >= first_day

),

own_rows as (

    select * exclude (first_read_on)
    from labelled_days
    where first_read_on = date

),

days as (

    select * from own_rows
    union all by name
    select
        asset_id,
        date,
        0 as count_rows,
        0 as count_assumed
    from days_without_own_row
    anti join own_rows using (asset_id, date)

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
