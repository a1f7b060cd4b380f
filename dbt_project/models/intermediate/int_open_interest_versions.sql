with

asset_numbers as (

    select * from {{ ref('int_asset_numbers') }}

),

facts as (

    select * from {{ ref('stg_lake__open_interests') }}

),

{{ versions_of_facts(values=['open_interest_usd']) }}

select * from versions
