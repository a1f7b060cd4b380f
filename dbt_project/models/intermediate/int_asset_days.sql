with

perp_days as (

    select * from {{ ref('int_perp_days') }}

),

prices as (

    select * from {{ ref('int_price_versions') }}
    where is_on_time

),

market_caps as (

    select * from {{ ref('int_market_cap_versions') }}
    where is_on_time

),

volumes as (

    select * from {{ ref('int_volume_versions') }}
    where is_on_time

),

days as (

    select
        perp_days.asset_id,
        perp_days.date,
        prices.close_usd,
        market_caps.market_cap_usd,
        volumes.volume_usd,
        perp_days.open_interest_usd,
        perp_days.perp_volume_usd,
        perp_days.funding_rate_8h,
        perp_days.funding_rate_1d,
        perp_days.funding_basis,
        cast(perp_days.count_settlements as integer) as count_settlements,
        perp_days.hours_covered,

        cast(
            perp_days.count_rows
            {% for fact in ['prices', 'market_caps', 'volumes'] %}
                + {{ has_row(fact) }}
            {% endfor %} as integer
        ) as count_rows,
        cast(
            perp_days.count_assumed
            {% for fact in ['prices', 'market_caps', 'volumes'] %}
                + {{ has_assumed_row(fact) }}
            {% endfor %} as integer
        ) as count_assumed

    from perp_days
    left join prices using (asset_id, date)
    left join market_caps using (asset_id, date)
    left join volumes using (asset_id, date)

)

select * from days
