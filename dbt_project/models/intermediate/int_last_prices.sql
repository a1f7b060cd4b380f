{%- set longest_gap_days = 400 -%}

with

days as (

    select
        asset_id,
        date,
        close_usd

    from {{ ref('int_asset_days') }}

),

versions as (

    select * from {{ ref('int_price_versions') }}
    where is_read

),

on_time as (

    select
        asset_id,
        date,
        close_usd,
        last_value(case when close_usd is not null then date end ignore nulls) over earlier as earlier_date

    from days

    window earlier as (
        partition by asset_id order by date rows between unbounded preceding and 1 preceding
    )

),

-- What late arrivals add: the newest of their days that had been learnt by row t. A late key is
-- always of an earlier day than the row that first reads it.
late_keys as (

    select
        asset_id,
        date,
        min(read_from) as first_read_on

    from versions
    group by asset_id, date
    having min(read_from) > date

),

learnt_late as (

    select
        asset_id,
        first_read_on,
        max(max(date)) over (partition by asset_id order by first_read_on) as newest_date

    from late_keys
    group by asset_id, first_read_on

),

dated as (

    select
        on_time.asset_id,
        on_time.date,
        on_time.close_usd,
        greatest(on_time.earlier_date, learnt_late.newest_date) as earlier_date

    from on_time
    asof left join learnt_late
        on
            on_time.asset_id = learnt_late.asset_id
            and on_time.date >= learnt_late.first_read_on

),

recent as (

    select
        asset_id,
        date,
        close_usd,
        case when date - earlier_date <= {{ longest_gap_days }} then earlier_date end as earlier_date

    from dated

),

priced as (

    select
        recent.asset_id,
        recent.date,
        case when recent.close_usd is not null then recent.date else recent.earlier_date end as last_price_date,
        recent.close_usd / versions.close_usd - 1 as return_since_last_price

    from recent
    left join versions
        on
            recent.asset_id = versions.asset_id
            and recent.earlier_date = versions.date
            and {{ reads('recent.date', 'versions') }}

)

select * from priced
