{%- set zscore_days = var('zscore_days') | int -%}

with

market as (

    select * from {{ ref('int_market_daily') }}

),

smoothed as (

    select
        *,
        {{ rolling('median', 'volume_usd', 7, 'last_7_days') }} as volume_median_7d_usd

    from market

    window last_7_days as (order by date rows between 6 preceding and current row)

),

compared as (

    select
        *,
        volume_usd - volume_median_7d_usd as volume_delta_usd

    from smoothed

),

features as (

    select
        date,

        ---------- alt_breadth
        pct_up as raw_alt_breadth_pct_up,
        return_median as raw_alt_breadth_median_ret,
        return_iqr as raw_alt_breadth_iqr,
        pct_up - lag(pct_up, 5) over calendar as raw_alt_breadth_slope_5d,
        pct_up - lag(pct_up, 20) over calendar as raw_alt_breadth_slope_20d,

        ---------- btc_dominance
        dominance as raw_btc_dominance,
        dominance - lag(dominance, 1) over calendar as raw_btc_dominance_d1d,
        dominance - lag(dominance, 5) over calendar as raw_btc_dominance_d5d,
        {{ zscore('dominance', zscore_days, 'zscore_days') }} as raw_btc_dominance_zscore,

        ---------- funding_skew, funding_heating
        funding_skew as raw_funding_skew,
        {{ zscore('funding_skew', 3, 'last_3_days') }} as raw_funding_skew_zscore_3d,
        {{ rolling('avg', 'funding_skew', 10, 'last_10_days') }}
        - {{ rolling('avg', 'funding_skew', 20, 'last_20_days') }} as raw_funding_heating,

        ---------- oi_risk
        case
            when oi_growth_pct is null or btc_return_3d is null then null
            when oi_growth_pct <= 0 then 0
            when btc_return_3d > 0 then least(oi_growth_pct / 50, 1)
            else least(oi_growth_pct / 50, 1) * 0.5
        end as raw_oi_risk,

        ---------- liquidity
        volume_median_7d_usd as raw_liquidity_7d_median,
        {{ zscore('volume_delta_usd', 30, 'last_30_days') }} as raw_liquidity_z_delta,
        pct_at_high as raw_liquidity_pct_at_high,

        ---------- volatility_spread
        {{ rolling('stddev_samp', 'index_return', 7, 'last_7_days') }} - btc_return_std_7d as raw_volatility_spread,

        ---------- momentum
        alt_momentum_3d as raw_momentum_alt_3d,
        alt_momentum_7d as raw_momentum_alt_7d,
        alt_momentum_3d - major_momentum_3d as raw_momentum_spread_3d,
        alt_momentum_7d - major_momentum_7d as raw_momentum_spread_7d,

        ---------- quality
        funding_skew is not null as has_funding,
        funding_oi_coverage,
        oi_is_proxy,
        share_assumed

    from compared

    window
        calendar as (order by date),
        last_3_days as (order by date rows between 2 preceding and current row),
        last_7_days as (order by date rows between 6 preceding and current row),
        last_10_days as (order by date rows between 9 preceding and current row),
        last_20_days as (order by date rows between 19 preceding and current row),
        last_30_days as (order by date rows between 29 preceding and current row),
        zscore_days as (order by date rows between {{ zscore_days - 1 }} preceding and current row)

)

select * from features
