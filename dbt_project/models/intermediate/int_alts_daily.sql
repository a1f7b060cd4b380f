with

alts as (

    select * from {{ ref('int_eligible_alts') }}

),

aggregated as (

    select
        date,

        ---------- breadth
        count(return_1d) as count_returns,
        count(*) filter (where return_1d > 0) as count_up,
        quantile_cont(return_1d, [0.25, 0.5, 0.75]) as return_quartiles,

        ---------- sizes
        {{ exact_sum('market_cap_usd', bits=-7) }} as market_cap_usd,
        {{ exact_sum('volume_level_usd', bits=-7) }} as volume_usd,
        count(is_volume_high_30d) as count_volume_windows,
        count(*) filter (where is_volume_high_30d) as count_volume_highs,

        ---------- index
        {{ exact_sum('previous_market_cap_usd * return_1d', bits=-7) }} as index_gain_usd,
        {{ exact_sum('case when return_1d is not null then previous_market_cap_usd end', bits=-7) }} as index_base_usd,

        ---------- momentum
        median(mean_return_3d) as momentum_3d,
        median(mean_return_7d) as momentum_7d,

        ---------- funding
        count(funding_rate_8h) as count_funded,
        {{ exact_sum('funding_rate_8h', bits=40) }} as sum_funding_rate,
        count(*) filter (where funding_rate_8h is not null and open_interest_usd is not null) as count_funded_with_oi,
        {{ exact_sum('funding_rate_8h * open_interest_usd', bits=10) }} as weighted_funding_usd,
        {{ exact_sum(
            'case when funding_rate_8h is not null then open_interest_usd end', bits=-7
        ) }} as funded_open_interest_usd,

        ---------- knowledge
        sum(count_rows) as count_rows,
        sum(count_assumed) as count_assumed

    from alts
    group by date

),

measured as (

    select
        date,

        100 * count_up / nullif(count_returns, 0) as pct_up,
        return_quartiles[2] as return_median,
        return_quartiles[3] - return_quartiles[1] as return_iqr,

        market_cap_usd,
        volume_usd,
        100 * count_volume_highs / nullif(count_volume_windows, 0) as pct_at_high,
        index_gain_usd / nullif(index_base_usd, 0) as index_return,

        momentum_3d,
        momentum_7d,

        case
            when 2 * count_funded_with_oi > count_funded and funded_open_interest_usd > 0
                then weighted_funding_usd / funded_open_interest_usd
            else sum_funding_rate / nullif(count_funded, 0)
        end as funding_rate_8h,
        count_funded_with_oi / nullif(count_funded, 0) as funding_oi_coverage,

        count_rows,
        count_assumed

    from aggregated

)

select * from measured
