with

facts as (

    select * from {{ ref('stg_lake__funding_rates') }}

),

{{ versions_of_facts(values=['funding_rate_8h']) }}

select * from versions
