with

days as (

    select
        asset_id,
        date,
        market_cap_usd

    from {{ ref('int_asset_days') }}

),

versions as (

    select * from {{ ref('int_market_cap_versions') }}

),

{{ values_by_age('market_cap_usd', (var('staleness_days') | int) + 1) }},

levels as (

    select
        asset_id,
        date,
        {{ level('market_cap_usd') }} as market_cap_usd,
        {{ level('market_cap_usd', first=1) }} as previous_market_cap_usd

    from values_by_age

)

select * from levels
