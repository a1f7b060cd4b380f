{#- As long as a day lives on after its label (int_asset_date_spine). -#}
{%- set days_after = [3, var('staleness_days') | int] | max -%}

with

spans as (

    select * from {{ ref('int_asset_spans') }}

),

empty_days as (

    select
        asset_id,
        date
    from {{ ref('int_asset_days') }}
    where count_rows = 0

),

counted as (

    select
        asset_id,
        date,
        count(*) over days_before as count_empty_before

    from empty_days

    window
        days_before as (
            partition by asset_id
            order by date range between interval {{ days_after }} day preceding and interval 1 day preceding
        )

),

without_own_row as (

    select
        counted.asset_id,
        counted.date

    from counted
    inner join spans using (asset_id)
    where counted.count_empty_before >= least({{ days_after }}, counted.date - spans.first_date)

),

late_versions as (

    select
        asset_id,
        read_from as first_day,
        date + {{ days_after }} as last_day

    from {{ ref('int_fact_versions') }}
    where is_read and not is_on_time

),

late_days as (

    select distinct
        asset_id,
        first_day + cast(unnest(range(last_day + 1 - first_day)) as integer) as date

    from late_versions
    where first_day <= last_day

),

unread as (

    select without_own_row.* from without_own_row
    anti join late_days using (asset_id, date)

)

select * from unread
