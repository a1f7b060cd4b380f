with

versions as not materialized (

    select * from {{ ref('int_price_versions') }}
    where is_read

),

keys_read_twice as (

    select
        asset_id,
        date

    from versions
    where not is_on_time

),

close_versions as (

    select
        versions.asset_id,
        versions.date,
        versions.read_from,
        versions.read_to,
        versions.close_usd

    from versions
    semi join keys_read_twice using (asset_id, date)

)

select * from close_versions
