with

spine as (

    select * from {{ ref('int_asset_date_spine') }}

),

open_interests as (

    select * from {{ ref('int_open_interest_versions') }}
    where is_on_time

),

perp_volumes as (

    select * from {{ ref('int_perp_volume_versions') }}
    where is_on_time

),

daily_rates as (

    select * from {{ ref('int_funding_rate_versions') }}
    where is_on_time

),

settled_days as (

    select * from {{ ref('int_settled_days') }}

),

days as (

    select
        spine.asset_id,
        spine.date,

        open_interests.open_interest_usd,
        perp_volumes.perp_volume_usd,

        coalesce(settled_days.funding_rate_8h, daily_rates.funding_rate_8h) as funding_rate_8h,
        case
            when settled_days.funding_rate_8h is not null then settled_days.funding_rate_1d
            else 3 * daily_rates.funding_rate_8h
        end as funding_rate_1d,
        case
            when settled_days.funding_rate_8h is not null then 'settlement'
            when daily_rates.funding_rate_8h is not null then 'daily'
        end as funding_basis,
        coalesce(settled_days.count_settlements, 0) as count_settlements,
        coalesce(settled_days.hours_covered, 0) as hours_covered,

        coalesce(settled_days.count_settlements, 0)
        {% for fact in ['open_interests', 'perp_volumes', 'daily_rates'] %}
            + {{ has_row(fact) }}
        {% endfor %} as count_rows,
        coalesce(settled_days.count_assumed, 0)
        {% for fact in ['open_interests', 'perp_volumes', 'daily_rates'] %}
            + {{ has_assumed_row(fact) }}
        {% endfor %} as count_assumed

    from spine
    left join open_interests using (asset_id, date)
    left join perp_volumes using (asset_id, date)
    left join daily_rates using (asset_id, date)
    left join settled_days using (asset_id, date)

)

select * from days
