{#- One asset and few days: always from the versions, so no fast path is needed. -#}

with

btc_days as (

    select * from {{ ref('int_asset_date_spine') }}
    where asset_id = 'BTC'

),

days as (

    select
        date,
        cast(unnest(range(8)) as integer) as age

    from btc_days

),

prices as (

    select * from {{ ref('int_price_versions') }}
    where asset_id = 'BTC' and is_read

),

market_caps as (

    select * from {{ ref('int_market_cap_versions') }}
    where asset_id = 'BTC' and is_read

),

open_interests as (

    select * from {{ ref('int_open_interest_versions') }}
    where asset_id = 'BTC' and is_read

),

values_as_known as (

    select
        days.date,
        days.age,
        prices.close_usd,
        market_caps.market_cap_usd,
        open_interests.open_interest_usd

    from days
    {% for cte in ['prices', 'market_caps', 'open_interests'] %}
        left join {{ cte }}
            on
                days.date - days.age = {{ cte }}.date
                and {{ reads('days.date', cte) }}
    {% endfor %}

),

returns as (

    select
        *,
        close_usd / lead(close_usd) over (partition by date order by age) - 1 as return_1d

    from values_as_known

),

windows as (

    select
        date,
        list(return_1d order by age desc) filter (where return_1d is not null) as returns_7d,
        {% for measure in ['market_cap_usd', 'open_interest_usd'] %}
            max({{ measure }}) filter (where age = 0) as {{ measure }},
            max({{ measure }}) filter (where age = 3) as {{ measure }}_3d_ago{% if not loop.last %},{% endif %}
        {% endfor %}

    from returns
    group by date

),

measured as (

    select
        date,
        market_cap_usd,
        market_cap_usd_3d_ago,
        open_interest_usd,
        open_interest_usd_3d_ago,
        case when len(returns_7d) = 7 then list_stddev_samp(returns_7d) end as return_std_7d

    from windows

)

select * from measured
