with

price_windows as (

    select * from {{ ref('int_price_windows') }}

),

last_prices as (

    select * from {{ ref('int_last_prices') }}

),

volume_windows as (

    select * from {{ ref('int_volume_windows') }}

),

market_cap_levels as (

    select * from {{ ref('int_market_cap_levels') }}

),

open_interest_levels as (

    select * from {{ ref('int_open_interest_levels') }}

),

joined as (

    select
        price_windows.*,
        last_prices.last_price_date,
        last_prices.return_since_last_price,
        market_cap_levels.market_cap_usd,
        market_cap_levels.previous_market_cap_usd,
        volume_windows.volume_level_usd,
        volume_windows.volume_median_7d_usd,
        volume_windows.is_volume_high_30d,
        open_interest_levels.open_interest_usd

    from price_windows
    left join last_prices using (asset_id, date)
    left join volume_windows using (asset_id, date)
    left join market_cap_levels using (asset_id, date)
    left join open_interest_levels using (asset_id, date)

)

select * from joined
