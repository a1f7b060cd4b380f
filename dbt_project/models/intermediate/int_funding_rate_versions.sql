with

asset_numbers as (

    select * from {{ ref('int_asset_numbers') }}

),

facts as (

    select * from {{ ref('stg_lake__funding_rates') }}

),

{{ versions_of_facts(values=['funding_rate_8h']) }}

select * from versions
