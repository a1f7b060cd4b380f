with

spans as (

    select * from {{ ref('int_asset_spans') }}

),

followed as (

    select
        asset_id,
        asset_number,
        first_date,
        least(last_date + {{ days_after_label() }}, max(last_date) over ()) as last_day

    from spans

),

spine as (

    select
        asset_id,
        asset_number,
        first_date + cast(unnest(range(last_day + 1 - first_date)) as integer) as date

    from followed

)

select * from spine
