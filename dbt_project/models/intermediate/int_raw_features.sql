{%- set zscore_days = var('zscore_days') | int -%}

with

market as (

    select * from {{ ref('int_market_daily') }}

),

smoothed as (

    select
        *,
        {{ rolling('median', 'volume_usd', 7) }} as volume_median_7d_usd,
        volume_usd - {{ rolling('median', 'volume_usd', 7) }} as volume_delta_usd

    from market

),

features as (

    select
        date,

        ---------- alt_breadth
        pct_up as raw_alt_breadth_pct_up,
        return_median as raw_alt_breadth_median_ret,
        return_iqr as raw_alt_breadth_iqr,
        pct_up - {{ days_ago('pct_up', 5) }} as raw_alt_breadth_slope_5d,
        pct_up - {{ days_ago('pct_up', 20) }} as raw_alt_breadth_slope_20d,

        ---------- btc_dominance
        dominance as raw_btc_dominance,
        dominance - {{ days_ago('dominance', 1) }} as raw_btc_dominance_d1d,
        dominance - {{ days_ago('dominance', 5) }} as raw_btc_dominance_d5d,
        {{ zscore('dominance', zscore_days) }} as raw_btc_dominance_zscore,

        ---------- funding_skew, funding_heating
        funding_skew as raw_funding_skew,
        {{ zscore('funding_skew', 3) }} as raw_funding_skew_zscore_3d,
        {{ rolling('avg', 'funding_skew', 10) }}
        - {{ rolling('avg', 'funding_skew', 20) }} as raw_funding_heating,

        ---------- oi_risk
        case
            when oi_growth_pct is null or btc_return_3d is null then null
            when oi_growth_pct <= 0 then 0
            when btc_return_3d > 0 then least(oi_growth_pct / 50, 1)
            else least(oi_growth_pct / 50, 1) * 0.5
        end as raw_oi_risk,

        ---------- liquidity
        volume_median_7d_usd as raw_liquidity_7d_median,
        {{ zscore('volume_delta_usd', 30) }} as raw_liquidity_z_delta,
        pct_at_high as raw_liquidity_pct_at_high,

        ---------- volatility_spread
        {{ rolling('stddev_samp', 'index_return', 7) }} - btc_return_std_7d as raw_volatility_spread,

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

    from smoothed

)

select * from features
