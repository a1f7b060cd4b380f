{#- Further back, a price says nothing about today (also int_last_prices). -#}
{%- set longest_gap_days = 400 -%}

with

windows as (

    select * from {{ ref('int_asset_windows') }}

),

late_days as (

    select * from {{ ref('int_late_days') }}

),

last_prices as (

    select * from {{ ref('int_last_prices') }}

),

delisted_spans as (

    select * from {{ ref('int_delisted_spans') }}

),

read_days as (

    select
        windows.*,
        windows.date - windows.earlier_close_date <= {{ longest_gap_days }} as is_price_near

    from windows
    left join late_days using (asset_id, date)
    where windows.is_alive or late_days.asset_id is not null

),

joined as (

    select
        ---------- ids
        read_days.asset_id,

        ---------- time
        read_days.date,

        ---------- prices
        read_days.close_usd,
        read_days.previous_close_usd,
        read_days.return_1d,
        read_days.return_3d,
        case
            when read_days.close_usd is not null then read_days.date
            when read_days.previous_close_usd is not null then read_days.date - 1
            when last_prices.earlier_date is not null then last_prices.earlier_date
            when read_days.is_price_near then read_days.earlier_close_date
        end as last_price_date,
        case
            when read_days.return_1d is not null then read_days.return_1d
            when last_prices.earlier_date is not null then last_prices.return_since_last_price
            when read_days.is_price_near then read_days.close_usd / read_days.earlier_close_usd - 1
        end as return_since_last_price,
        read_days.mean_return_3d,
        read_days.mean_return_7d,

        ---------- sizes
        read_days.market_cap_usd,
        read_days.previous_market_cap_usd,
        read_days.volume_usd,
        read_days.volume_level_usd,
        read_days.volume_median_7d_usd,
        read_days.is_volume_high_30d,
        read_days.open_interest_usd,
        read_days.perp_volume_usd,

        ---------- funding
        read_days.funding_rate_8h,
        read_days.funding_rate_1d,

        ---------- state
        delisted_spans.asset_id is not null as is_delisted,
        read_days.count_rows,
        read_days.count_assumed

    from read_days
    left join last_prices using (asset_id, date)
    left join delisted_spans
        on
            read_days.asset_id = delisted_spans.asset_id
            and read_days.date >= delisted_spans.delisted_from
            and read_days.date < delisted_spans.delisted_to

)

select * from joined
