with

asset_days as (

    select * from {{ ref('int_asset_days') }}

),

market as (

    select * from {{ ref('int_asset_market') }}

),

funding as (

    select * from {{ ref('fct_funding_daily') }}

),

assets as (

    select * from {{ ref('dim_assets') }}

),

joined as (

    select
        ---------- ids
        asset_days.asset_id,

        ---------- time
        asset_days.date,

        ---------- prices
        market.close_usd,
        market.previous_close_usd,
        market.return_1d,
        market.return_3d,
        market.last_price_date,
        market.return_since_last_price,
        market.mean_return_3d,
        market.mean_return_7d,

        ---------- sizes
        market.market_cap_usd,
        market.previous_market_cap_usd,
        asset_days.volume_usd,
        market.volume_level_usd,
        market.volume_median_7d_usd,
        market.is_volume_high_30d,
        market.open_interest_usd,
        asset_days.perp_volume_usd,

        ---------- funding
        funding.funding_rate_8h,
        funding.funding_rate_1d,

        ---------- state
        coalesce(assets.delisted_on <= asset_days.date, false) as is_delisted,
        asset_days.count_rows,
        asset_days.count_assumed

    from asset_days
    left join market using (asset_id, date)
    left join funding using (asset_id, date)
    left join assets using (asset_id)

)

select * from joined
