with

windows as (

    select * from {{ ref('int_asset_windows') }}

),

last_prices as (

    select * from {{ ref('int_last_prices') }}

),

funding as (

    select * from {{ ref('fct_funding_daily') }}

),

delisted_spans as (

    select * from {{ ref('int_delisted_spans') }}

),

joined as (

    select
        ---------- ids
        windows.asset_id,

        ---------- time
        windows.date,

        ---------- prices
        windows.close_usd,
        windows.previous_close_usd,
        windows.return_1d,
        windows.return_3d,
        case
            when windows.close_usd is not null then windows.date
            when windows.previous_close_usd is not null then windows.date - 1
            else last_prices.earlier_date
        end as last_price_date,
        coalesce(windows.return_1d, last_prices.return_since_last_price) as return_since_last_price,
        windows.mean_return_3d,
        windows.mean_return_7d,

        ---------- sizes
        windows.market_cap_usd,
        windows.previous_market_cap_usd,
        windows.volume_usd,
        windows.volume_level_usd,
        windows.volume_median_7d_usd,
        windows.is_volume_high_30d,
        windows.open_interest_usd,
        windows.perp_volume_usd,

        ---------- funding
        funding.funding_rate_8h,
        funding.funding_rate_1d,

        ---------- state
        delisted_spans.asset_id is not null as is_delisted,
        windows.count_rows,
        windows.count_assumed

    from windows
    left join last_prices using (asset_id, date)
    left join funding using (asset_id, date)
    left join delisted_spans
        on
            windows.asset_id = delisted_spans.asset_id
            and windows.date >= delisted_spans.delisted_from
            and windows.date < delisted_spans.delisted_to

)

select * from joined
