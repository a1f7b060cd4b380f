with

versions as not materialized (

    select * from {{ ref('int_fact_versions') }}

),

spans as (

    select
        asset_number,
        any_value(asset_id) as asset_id,
        min(date) as first_date,
        max(date) as last_date

    from versions
    group by asset_number

)

select * from spans
