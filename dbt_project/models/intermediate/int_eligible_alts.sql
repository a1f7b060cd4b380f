with

asset_days as (

    select * from {{ ref('fct_asset_daily') }}

),

members as (

    select * from {{ ref('fct_universe_daily') }}
    where is_eligible

),

eligible as (

    select
        asset_days.asset_id,
        asset_days.date,

        asset_days.return_1d,
        asset_days.mean_return_3d,
        asset_days.mean_return_7d,
        asset_days.market_cap_usd,
        asset_days.previous_market_cap_usd,
        asset_days.volume_level_usd,
        asset_days.is_volume_high_30d,
        asset_days.funding_rate_8h,
        asset_days.open_interest_usd,
        asset_days.count_rows,
        asset_days.count_assumed

    from asset_days
    semi join members using (asset_id, date)

)

select * from eligible
