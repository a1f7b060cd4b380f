with

days as (

    select * from {{ ref('int_funding_days') }}

),

rates as (

    select
        asset_id,
        date,
        funding_rate_8h,
        funding_rate_1d,
        count_settlements,
        hours_covered,
        basis

    from days
    where count_settlements > 0 or basis is not null

)

select * from rates
