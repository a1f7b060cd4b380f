with

asset_numbers as (

    select * from {{ ref('int_asset_numbers') }}

),

facts as (

    select * from {{ ref('stg_lake__perp_volumes') }}

),

{{ versions_of_facts(values=['perp_volume_usd']) }}

select * from versions
