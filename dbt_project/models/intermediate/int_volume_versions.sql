with

asset_numbers as (

    select * from {{ ref('int_asset_numbers') }}

),

facts as (

    select * from {{ ref('stg_lake__volumes') }}

),

{{ versions_of_facts(values=['volume_usd']) }}

select * from versions
