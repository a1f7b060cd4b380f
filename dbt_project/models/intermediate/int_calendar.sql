with

spans as (

    select * from {{ ref('int_asset_spans') }}

),

bounds as (

    select
        min(first_date) as first_date,
        max(last_date) as last_date

    from spans

),

calendar as (

    select first_date + cast(unnest(range(last_date + 1 - first_date)) as integer) as date
    from bounds

)

select * from calendar
