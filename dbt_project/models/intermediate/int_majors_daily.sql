with

majors as (

    select * from {{ ref('fct_asset_daily') }}
    where asset_id in ('BTC', 'ETH')

),

aggregated as (

    select
        date,

        max(return_3d) filter (where asset_id = 'BTC') as btc_return_3d,
        max(market_cap_usd) filter (where asset_id = 'BTC') as btc_market_cap_usd,
        {{ exact_sum('mean_return_3d', bits=30) }} / 2 as momentum_3d,
        {{ exact_sum('mean_return_7d', bits=30) }} / 2 as momentum_7d,
        count(mean_return_3d) as count_momentum_3d,
        count(mean_return_7d) as count_momentum_7d,

        count(funding_rate_8h) as count_funded,
        count(funding_rate_8h + open_interest_usd) as count_funded_with_oi,
        {{ exact_sum('funding_rate_8h', bits=40) }} as sum_funding_rate,
        {{ exact_sum('funding_rate_8h * open_interest_usd', bits=10) }} as weighted_funding_usd,
        {{ exact_sum(
            'case when funding_rate_8h is not null then open_interest_usd end', bits=-7
        ) }} as funded_open_interest_usd,

        sum(count_rows) as count_rows,
        sum(count_assumed) as count_assumed

    from majors
    group by date

),

measured as (

    select
        date,

        btc_return_3d,
        btc_market_cap_usd,
        case when count_momentum_3d = 2 then momentum_3d end as momentum_3d,
        case when count_momentum_7d = 2 then momentum_7d end as momentum_7d,

        case
            when count_funded_with_oi = 2 and funded_open_interest_usd > 0
                then weighted_funding_usd / funded_open_interest_usd
            else sum_funding_rate / nullif(count_funded, 0)
        end as funding_rate_8h,

        count_rows,
        count_assumed

    from aggregated

)

select * from measured
