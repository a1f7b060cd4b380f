with

versions as (

    select * from {{ ref('int_fact_versions') }}

),

-- How late a vendor is can only be seen where we were there; an assumed time is the rule itself.
delays as (

    select
        fact,
        coalesce(source, 'unknown') as source,
        date_diff('minute', cast(date + 1 as timestamp), known_from) as delay_minutes

    from versions
    where is_first_version and known_basis = 'observed'

),

lags as (

    select
        fact,
        source,
        count(*) as count_values,
        quantile_cont(delay_minutes, 0.5) as delay_minutes_p50,
        quantile_cont(delay_minutes, 0.9) as delay_minutes_p90,
        quantile_cont(delay_minutes, 0.99) as delay_minutes_p99,
        cast(max(delay_minutes) as double) as delay_minutes_max

    from delays
    group by fact, source

)

select * from lags
