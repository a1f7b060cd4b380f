with

rules as (

    select * from {{ ref('int_universe_rules') }}

),

universe as (

    select
        asset_id,
        date,
        exclusion_reason is null as is_eligible,
        exclusion_reason

    from rules

)

select * from universe
