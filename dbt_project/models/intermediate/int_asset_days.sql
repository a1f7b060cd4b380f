{%- set facts = ['prices', 'market_caps', 'volumes', 'open_interests', 'perp_volumes'] -%}

with

funding_days as (

    select * from {{ ref('int_funding_days') }}

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

open_interests as (

    select * from {{ ref('int_open_interest_versions') }}
    where is_on_time

),

perp_volumes as (

    select * from {{ ref('int_perp_volume_versions') }}
    where is_on_time

),

days as (

    select
        funding_days.asset_id,
        funding_days.asset_number,
        funding_days.date,
        prices.close_usd,
        market_caps.market_cap_usd,
        volumes.volume_usd,
        open_interests.open_interest_usd,
        perp_volumes.perp_volume_usd,
        funding_days.funding_rate_8h,
        funding_days.funding_rate_1d,

        cast(
            funding_days.count_rows
            {% for fact in facts %}
                + {{ has_row(fact) }}
            {% endfor %} as integer
        ) as count_rows,
        cast(
            funding_days.count_assumed
            {% for fact in facts %}
                + {{ has_assumed_row(fact) }}
            {% endfor %} as integer
        ) as count_assumed

    from funding_days
    {% for fact in facts -%}
        left join {{ fact }} using (asset_number, date)
    {% endfor %}

)

select * from days
