with

days as (

    select
        asset_id,
        date,
        open_interest_usd

    from {{ ref('int_asset_days') }}

),

versions as (

    select * from {{ ref('int_open_interest_versions') }}

),

{{ values_by_age('open_interest_usd', var('staleness_days') | int) }},

levels as (

    select
        asset_id,
        date,
        {{ level('open_interest_usd') }} as open_interest_usd

    from values_by_age

)

select * from levels
