with

spine as (

    select * from {{ ref('int_asset_date_spine') }}

),

settled_days as (

    select * from {{ ref('int_settled_days') }}

),

daily_rates as (

    select * from {{ ref('int_funding_rate_versions') }}
    where is_on_time

),

days as (

    select
        spine.asset_id,
        spine.asset_number,
        spine.date,

        coalesce(settled_days.funding_rate_8h, daily_rates.funding_rate_8h) as funding_rate_8h,
        case
            when settled_days.funding_rate_8h is not null then settled_days.funding_rate_1d
            else 3 * daily_rates.funding_rate_8h
        end as funding_rate_1d,
        case
            when settled_days.funding_rate_8h is not null then 'settlement'
            when daily_rates.funding_rate_8h is not null then 'daily'
        end as basis,
        cast(coalesce(settled_days.count_settlements, 0) as integer) as count_settlements,
        coalesce(settled_days.hours_covered, 0) as hours_covered,

        coalesce(settled_days.count_settlements, 0) + {{ has_row('daily_rates') }} as count_rows,
        coalesce(settled_days.count_assumed, 0) + {{ has_assumed_row('daily_rates') }} as count_assumed

    from spine
    left join settled_days using (asset_number, date)
    left join daily_rates using (asset_number, date)

)

select * from days
