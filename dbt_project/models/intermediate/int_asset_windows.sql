{%- set staleness_days = var('staleness_days') | int -%}
{%- set oldest_close = 7 -%}

{#- What a late or revised key changes: the fast and the slow path both yield these. -#}
{%- set measures = [
    'market_cap_usd',
    'previous_market_cap_usd',
    'volume_usd',
    'volume_level_usd',
    'volume_median_7d_usd',
    'is_volume_high_30d',
    'open_interest_usd',
] -%}
{%- for age in range(oldest_close + 1) -%}
    {%- do measures.append('close_usd_' ~ age) -%}
{%- endfor -%}

with

days as not materialized (

    select * from {{ ref('int_asset_days') }}

),

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
        from days
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

-- One row per calendar day: rows back are days back.
unrevised as (

    select
        asset_id,
        date,

        close_usd as close_usd_0,
        {% for age in range(1, oldest_close + 1) %}
            lag(close_usd, {{ age }}) over asset_history as close_usd_{{ age }},
        {% endfor %}
        last_value(close_usd ignore nulls) over earlier_days as earlier_close_usd,
        last_value(case when close_usd is not null then date end ignore nulls) over earlier_days as earlier_close_date,

        last_value(market_cap_usd ignore nulls) over fresh_days as market_cap_usd,
        last_value(market_cap_usd ignore nulls) over fresh_days_before as previous_market_cap_usd,
        volume_usd,
        last_value(volume_usd ignore nulls) over fresh_days as volume_level_usd,
        median(volume_usd) over last_7_days as volume_median_7d_usd,
        case
            when count(volume_usd) over last_30_days = 30
                then volume_usd > 0 and volume_usd = max(volume_usd) over last_30_days
        end as is_volume_high_30d,
        last_value(open_interest_usd ignore nulls) over fresh_days as open_interest_usd,
        perp_volume_usd,

        funding_rate_8h,
        funding_rate_1d,
        count_rows,
        count_assumed

    from days

    window
        asset_history as (partition by asset_id order by date),
        earlier_days as (
            partition by asset_id order by date rows between unbounded preceding and 1 preceding
        ),
        fresh_days as (
            partition by asset_id order by date rows between {{ staleness_days }} preceding and current row
        ),
        fresh_days_before as (
            partition by asset_id order by date rows between {{ staleness_days + 1 }} preceding and 1 preceding
        ),
        last_7_days as (partition by asset_id order by date rows between 6 preceding and current row),
        last_30_days as (partition by asset_id order by date rows between 29 preceding and current row)

),

wanted as (

    select
        days.asset_id,
        days.date,
        cast(unnest(range({{ [30, staleness_days + 2] | max }})) as integer) as age

    from days
    semi join rows_to_recompute using (asset_id, date)

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

),

as_known as (

    select
        unrevised.asset_id,
        unrevised.date,
        {% for measure in measures %}
            case
                when revised.asset_id is null then unrevised.{{ measure }} else revised.{{ measure }}
            end as {{ measure }},
        {% endfor %}
        unrevised.earlier_close_usd,
        unrevised.earlier_close_date,
        unrevised.perp_volume_usd,
        unrevised.funding_rate_8h,
        unrevised.funding_rate_1d,
        unrevised.count_rows,
        unrevised.count_assumed

    from unrevised
    left join revised using (asset_id, date)

),

returns as (

    select
        *,
        {% for age in range(oldest_close) %}
            close_usd_{{ age }} / close_usd_{{ age + 1 }} - 1 as return_{{ age }}{% if not loop.last %},{% endif %}
        {% endfor %}

    from as_known

),

windows as (

    select
        ---------- ids
        asset_id,

        ---------- time
        date,

        ---------- prices; sums run from the oldest day on, whatever path the values took
        close_usd_0 as close_usd,
        close_usd_1 as previous_close_usd,
        earlier_close_usd,
        earlier_close_date,
        return_0 as return_1d,
        close_usd_0 / close_usd_3 - 1 as return_3d,
        (return_2 + return_1 + return_0) / 3 as mean_return_3d,
        (return_6 + return_5 + return_4 + return_3 + return_2 + return_1 + return_0) / 7 as mean_return_7d,

        ---------- sizes
        market_cap_usd,
        previous_market_cap_usd,
        volume_usd,
        volume_level_usd,
        volume_median_7d_usd,
        is_volume_high_30d,
        open_interest_usd,
        perp_volume_usd,

        ---------- funding
        funding_rate_8h,
        funding_rate_1d,

        ---------- knowledge
        count_rows,
        count_assumed

    from returns

)

select * from windows
