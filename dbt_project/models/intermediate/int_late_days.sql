with

late_versions as (

    select
        asset_id,
        read_from as first_day,
        date + {{ days_after_label() }} as last_day

    from {{ ref('int_fact_versions') }}
    where is_read and not is_on_time

),

late_days as (

    select distinct
        asset_id,
        first_day + cast(unnest(range(last_day + 1 - first_day)) as integer) as date

    from late_versions
    where first_day <= last_day

)

select * from late_days
