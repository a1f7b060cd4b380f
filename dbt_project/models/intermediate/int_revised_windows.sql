{%- set staleness_days = var('staleness_days') | int -%}
{%- set oldest_close = 7 -%}

with

prices as not materialized (

    select * from {{ ref('int_price_versions') }}

),

market_caps as not materialized (

    select * from {{ ref('int_market_cap_versions') }}

),

volumes as not materialized (

    select * from {{ ref('int_volume_versions') }}

),

open_interests as not materialized (

    select * from {{ ref('int_open_interest_versions') }}

),

rows_to_recompute as (

    {% if var('force_slow_path') == true %}
        select
            asset_id,
            date
        from {{ ref('int_asset_date_spine') }}
    {% else %}
        {{ rows_touched('prices', oldest_close) }}
        union
        {{ rows_touched('market_caps', staleness_days + 1) }}
        union
        {{ rows_touched('volumes', [29, staleness_days] | max) }}
        union
        {{ rows_touched('open_interests', staleness_days) }}
    {% endif %}

),

wanted as (

    select
        asset_id,
        date,
        cast(unnest(range({{ [30, staleness_days + 2] | max }})) as integer) as age

    from rows_to_recompute

),

read_values as (

    select
        wanted.asset_id,
        wanted.date,
        wanted.age,
        prices.close_usd,
        market_caps.market_cap_usd,
        volumes.volume_usd,
        open_interests.open_interest_usd

    from wanted
    {% for cte in ['prices', 'market_caps', 'volumes', 'open_interests'] %}
        left join {{ cte }}
            on
                wanted.asset_id = {{ cte }}.asset_id
                and wanted.date - wanted.age = {{ cte }}.date
                and {{ cte }}.is_read
                and {{ reads('wanted.date', cte) }}
    {% endfor %}

),

revised as (

    select
        asset_id,
        date,
        {% for age in range(oldest_close + 1) %}
            max(close_usd) filter (where age = {{ age }}) as close_usd_{{ age }},
        {% endfor %}
        {{ newest('market_cap_usd', 0, staleness_days) }} as market_cap_usd,
        {{ newest('market_cap_usd', 1, staleness_days + 1) }} as previous_market_cap_usd,
        max(volume_usd) filter (where age = 0) as volume_usd,
        {{ newest('volume_usd', 0, staleness_days) }} as volume_level_usd,
        median(volume_usd) filter (where age < 7) as volume_median_7d_usd,
        case
            when count(volume_usd) filter (where age < 30) = 30
                then
                    max(volume_usd) filter (where age = 0) > 0
                    and max(volume_usd) filter (where age = 0) = max(volume_usd) filter (where age < 30)
        end as is_volume_high_30d,
        {{ newest('open_interest_usd', 0, staleness_days) }} as open_interest_usd

    from read_values
    group by asset_id, date

)

select * from revised
