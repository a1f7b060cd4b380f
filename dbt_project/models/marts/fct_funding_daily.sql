with

days as (

    select * from {{ ref('int_asset_days') }}

),

rates as (

    select
        asset_id,
        date,
        funding_rate_8h,
        funding_rate_1d,
        count_settlements,
        hours_covered,
        funding_basis as basis

    from days
    where count_settlements > 0 or funding_basis is not null

)

select * from rates
