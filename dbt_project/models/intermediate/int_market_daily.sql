with

calendar as (

    select * from {{ ref('int_calendar') }}

),

alts as (

    select * from {{ ref('int_alts_daily') }}

),

majors as (

    select * from {{ ref('int_majors_daily') }}

),

btc as (

    select * from {{ ref('int_btc_windows') }}

),

joined as (

    select
        date,

        alts.pct_up,
        alts.return_median,
        alts.return_iqr,
        alts.volume_usd,
        alts.pct_at_high,
        alts.index_return,
        alts.momentum_3d as alt_momentum_3d,
        alts.momentum_7d as alt_momentum_7d,
        alts.funding_oi_coverage,

        majors.momentum_3d as major_momentum_3d,
        majors.momentum_7d as major_momentum_7d,
        majors.btc_return_3d,

        btc.return_std_7d as btc_return_std_7d,
        majors.btc_market_cap_usd / (majors.btc_market_cap_usd + alts.market_cap_usd) as dominance,
        alts.funding_rate_8h - majors.funding_rate_8h as funding_skew,

        -- Where BTC's open interest is missing on either day, its market cap stands in on both.
        btc.open_interest_usd is null or btc.open_interest_usd_3d_ago is null as oi_is_proxy,
        case
            when btc.open_interest_usd is null or btc.open_interest_usd_3d_ago is null
                then 100 * (btc.market_cap_usd / nullif(btc.market_cap_usd_3d_ago, 0) - 1)
            else 100 * (btc.open_interest_usd / nullif(btc.open_interest_usd_3d_ago, 0) - 1)
        end as oi_growth_pct,

        (coalesce(alts.count_assumed, 0) + coalesce(majors.count_assumed, 0))
        / nullif(coalesce(alts.count_rows, 0) + coalesce(majors.count_rows, 0), 0) as share_assumed

    from calendar
    left join alts using (date)
    left join majors using (date)
    left join btc using (date)

)

select * from joined
