with

asset_numbers as (

    select * from {{ ref('int_asset_numbers') }}

),

facts as (

    select * from {{ ref('stg_lake__market_caps') }}

),

{{ versions_of_facts(values=['market_cap_usd']) }}

select * from versions
