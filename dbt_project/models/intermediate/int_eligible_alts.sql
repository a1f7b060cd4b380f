with

judged as (

    select * from {{ ref('int_judged_days') }}

),

eligible as (

    select
        asset_id,
        date,

        return_1d,
        mean_return_3d,
        mean_return_7d,
        market_cap_usd,
        previous_market_cap_usd,
        volume_level_usd,
        is_volume_high_30d,
        funding_rate_8h,
        open_interest_usd,
        count_rows,
        count_assumed

    from judged
    where exclusion_reason is null

)

select * from eligible
