with

funding_rates as (

    select * from {{ ref('stg_lake__funding_rates') }}

),

settlements as (

    select * from {{ ref('stg_lake__funding_settlements') }}

),

open_interests as (

    select * from {{ ref('stg_lake__open_interests') }}

),

perp_volumes as (

    select * from {{ ref('stg_lake__perp_volumes') }}

),

asset_ids as (

    select asset_id from funding_rates
    union
    select asset_id from settlements
    union
    select asset_id from open_interests
    union
    select asset_id from perp_volumes

)

select * from asset_ids
