with

settlements as (

    select * from {{ ref('int_settlement_versions') }}
    where is_read

),

daily_rates as not materialized (

    select * from {{ ref('int_funding_rate_versions') }}
    where is_read

),

settled_days as (

    select
        asset_id,
        date,
        min(read_from) as first_read_on,
        {{ exact_sum('case when is_on_time then funding_rate end', bits=80) }} as settled_rate,
        count(*) filter (where is_on_time) as count_settlements,
        coalesce({{ exact_sum('case when is_on_time then interval_hours end', bits=60) }}, 0) as hours_covered,
        count(*) filter (where is_on_time and known_basis = 'assumed') as count_assumed

    from settlements
    group by asset_id, date

),

quoted_on_time as (

    select
        asset_id,
        date,
        date as first_read_on,
        funding_rate_8h,
        1 as count_rows,
        cast(known_basis = 'assumed' as integer) as count_assumed

    from daily_rates
    where is_on_time

),

quoted_late as (

    select
        asset_id,
        date,
        min(daily_rates.read_from) as first_read_on,
        null as funding_rate_8h,
        0 as count_rows,
        0 as count_assumed

    from daily_rates
    anti join quoted_on_time using (asset_id, date)
    where not daily_rates.is_on_time
    group by asset_id, date

),

quoted_days as (

    select * from quoted_on_time
    union all
    select * from quoted_late

),

joined as (

    select
        asset_id,
        date,
        least(settled_days.first_read_on, quoted_days.first_read_on) as first_read_on,

        -- Under 16 hours of settlements do not stand for a day.
        case
            when settled_days.hours_covered >= 16 then settled_days.settled_rate / 3
        end as settled_rate_8h,
        quoted_days.funding_rate_8h as quoted_rate_8h,

        coalesce(settled_days.count_settlements, 0) as count_settlements,
        coalesce(settled_days.hours_covered, 0) as hours_covered,
        coalesce(settled_days.count_settlements, 0) + coalesce(quoted_days.count_rows, 0) as count_rows,
        coalesce(settled_days.count_assumed, 0) + coalesce(quoted_days.count_assumed, 0) as count_assumed

    from settled_days
    full join quoted_days using (asset_id, date)

)

select * from joined
