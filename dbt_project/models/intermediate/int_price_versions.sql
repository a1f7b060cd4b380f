with

asset_numbers as (

    select * from {{ ref('int_asset_numbers') }}

),

facts as (

    select * from {{ ref('stg_lake__prices') }}

),

{{ versions_of_facts(values=['close_usd']) }}

select * from versions
