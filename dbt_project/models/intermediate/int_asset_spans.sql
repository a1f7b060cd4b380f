with

versions as not materialized (

    select * from {{ ref('int_fact_versions') }}

),

spans as (

    select
        asset_id,
        min(date) as first_date,
        max(date) as last_date

    from versions
    group by asset_id

)

select * from spans
