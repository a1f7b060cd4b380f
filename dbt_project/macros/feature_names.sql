{# The 21 features of strategy.md section 3, in its order; raw_X and z_X are columns. #}
{% macro feature_names() -%}
    {{ return([
        'alt_breadth_pct_up',
        'alt_breadth_median_ret',
        'alt_breadth_iqr',
        'alt_breadth_slope_5d',
        'alt_breadth_slope_20d',
        'btc_dominance',
        'btc_dominance_d1d',
        'btc_dominance_d5d',
        'btc_dominance_zscore',
        'funding_skew',
        'funding_skew_zscore_3d',
        'funding_heating',
        'oi_risk',
        'liquidity_7d_median',
        'liquidity_z_delta',
        'liquidity_pct_at_high',
        'volatility_spread',
        'momentum_alt_3d',
        'momentum_alt_7d',
        'momentum_spread_3d',
        'momentum_spread_7d',
    ]) }}
{%- endmacro %}


{# The primary feature of each of the eight groups: a day is valid when all their z-scores exist. #}
{% macro primary_feature_names() -%}
    {{ return([
        'alt_breadth_pct_up',
        'btc_dominance',
        'funding_skew',
        'funding_heating',
        'liquidity_7d_median',
        'volatility_spread',
        'momentum_spread_7d',
        'oi_risk',
    ]) }}
{%- endmacro %}
