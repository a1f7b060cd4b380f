{#- Further back, a price says nothing about today. -#}
{%- set longest_gap_days = 400 -%}

with

days as (

    select * from {{ ref('int_asset_days') }}

),

versions as (

    select * from {{ ref('int_price_versions') }}
    where is_read

),

-- Elsewhere the newest earlier close is the day before's, and the return the one-day return.
gaps as (

    select
        asset_id,
        date,
        close_usd

    from days

    window asset_history as (partition by asset_id order by date)

    qualify lag(case when close_usd is not null then date end) over asset_history is distinct from date - 1

),

-- From which row on each close is an earlier one, and the newest such day by then: a late arrival
-- may be of an older day than what is known.
learnt as (

    select
        asset_id,
        greatest(read_from, date + 1) as earlier_from,
        max(max(date)) over (partition by asset_id order by greatest(read_from, date + 1)) as newest_date

    from versions
    group by asset_id, earlier_from

),

dated as (

    select
        gaps.asset_id,
        gaps.date,
        gaps.close_usd,
        case when gaps.date - learnt.newest_date <= {{ longest_gap_days }} then learnt.newest_date end as earlier_date

    from gaps
    asof inner join learnt
        on
            gaps.asset_id = learnt.asset_id
            and gaps.date >= learnt.earlier_from

),

priced as (

    select
        dated.asset_id,
        dated.date,
        dated.earlier_date,
        dated.close_usd / versions.close_usd - 1 as return_since_last_price

    from dated
    inner join versions
        on
            dated.asset_id = versions.asset_id
            and dated.earlier_date = versions.date
            and {{ reads('dated.date', 'versions') }}

)

select * from priced
