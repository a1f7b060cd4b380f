{#- Further back, a price says nothing about today. -#}
{%- set longest_gap_days = 400 -%}

with

versions as not materialized (

    select * from {{ ref('int_price_versions') }}
    where is_read

),

late_keys as (

    select
        asset_id,
        date,
        min(read_from) as first_read_on

    from versions
    where not is_on_time
    group by asset_id, date

),

-- For the others, the own rows say it all (int_own_windows).
late_spine as (

    select * from {{ ref('int_asset_date_spine') }}
    where asset_id in (select late_keys.asset_id from late_keys)

),

own_closes as (

    select * from versions
    where is_on_time and asset_id in (select late_keys.asset_id from late_keys)

),

days as (

    select
        late_spine.asset_id,
        late_spine.date,
        own_closes.close_usd

    from late_spine
    left join own_closes using (asset_id, date)

),

followed as (

    select
        asset_id,
        date,
        close_usd,
        last_value(case when close_usd is not null then date end ignore nulls) over earlier as own_date

    from days

    window earlier as (partition by asset_id order by date rows between unbounded preceding and 1 preceding)

),

-- Elsewhere the newest earlier close is the day before's, and the return the one-day return.
gaps as (

    select * from followed
    where own_date is distinct from date - 1

),

-- The newest day learnt late by each row: a late arrival may be of an older day than what is known.
learnt_late as (

    select
        asset_id,
        first_read_on,
        max(max(date)) over (partition by asset_id order by first_read_on) as late_date

    from late_keys
    group by asset_id, first_read_on

),

dated as (

    select
        gaps.asset_id,
        gaps.date,
        gaps.close_usd,
        greatest(gaps.own_date, learnt_late.late_date) as earlier_date

    from gaps
    asof left join learnt_late
        on
            gaps.asset_id = learnt_late.asset_id
            and gaps.date >= learnt_late.first_read_on

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
    where dated.date - dated.earlier_date <= {{ longest_gap_days }}

)

select * from priced
