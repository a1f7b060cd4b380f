{%- set staleness_days = var('staleness_days') | int -%}
{%- set oldest_ages = {
    'close_usd': 7,
    'market_cap_usd': staleness_days + 1,
    'volume_usd': [6, staleness_days] | max,
    'open_interest_usd': staleness_days,
} -%}
{#- A label is followed by this many rows (int_asset_days). -#}
{%- set days_after = [3, staleness_days] | max -%}

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
        {{ rows_touched('prices', oldest_ages.close_usd) }}
        union
        {{ rows_touched('market_caps', oldest_ages.market_cap_usd) }}
        union
        {{ rows_touched('volumes', 29) }}
        union
        {{ rows_touched('open_interests', oldest_ages.open_interest_usd) }}
        union
        {{ rows_after_an_outage('days', days_after, oldest_ages.volume_usd) }}
    {% endif %}

),

lagged as (

    select
        asset_id,
        date,
        {% for age in range(1, oldest_ages.values() | max + 1) %}
            lag(date, {{ age }}) over asset_history as date_{{ age }},
        {% endfor %}
        {% for column, oldest_age in oldest_ages.items() %}
            {{ lagged(column, oldest_age) }},
        {% endfor %}
        -- With a hole in the days, 30 rows are more than 30 days.
        lag(date, 29) over asset_history = date - 29
        and count(volume_usd) over last_30_rows = 30 as has_volumes_30d,
        max(volume_usd) over last_30_rows as volume_max_30d_usd,
        perp_volume_usd,
        count_rows,
        count_assumed

    from days

    window
        asset_history as (partition by asset_id order by date),
        last_30_rows as (partition by asset_id order by date rows between 29 preceding and current row)

),

unrevised as (

    select
        asset_id,
        date,
        {% for column, oldest_age in oldest_ages.items() %}
            {{ on_their_days(column, oldest_age) }},
        {% endfor %}
        has_volumes_30d,
        volume_max_30d_usd,
        perp_volume_usd,
        count_rows,
        count_assumed

    from lagged

),

wanted as (

    select
        days.asset_id,
        days.date,
        cast(unnest(range(30)) as integer) as age

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
        {% for column, oldest_age in oldest_ages.items() %}
            {{ recomputed(column, oldest_age) }},
        {% endfor %}
        count(volume_usd) = 30 as has_volumes_30d,
        max(volume_usd) as volume_max_30d_usd

    from read_values
    group by asset_id, date

),

values_by_age as (

    select unrevised.* from unrevised
    anti join rows_to_recompute using (asset_id, date)
    union all by name
    select
        revised.*,
        days.perp_volume_usd,
        days.count_rows,
        days.count_assumed
    from revised
    inner join days using (asset_id, date)

),

returns as (

    select
        *,
        {% for age in range(7) %}
            close_usd_{{ age }} / close_usd_{{ age + 1 }} - 1 as return_{{ age }}{% if not loop.last %},{% endif %}
        {% endfor %}

    from values_by_age

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
        return_0 as return_1d,
        close_usd_0 / close_usd_3 - 1 as return_3d,
        (return_2 + return_1 + return_0) / 3 as mean_return_3d,
        (return_6 + return_5 + return_4 + return_3 + return_2 + return_1 + return_0) / 7 as mean_return_7d,

        ---------- sizes
        {{ level('market_cap_usd') }} as market_cap_usd,
        {{ level('market_cap_usd', first=1) }} as previous_market_cap_usd,
        volume_usd_0 as volume_usd,
        {{ level('volume_usd') }} as volume_level_usd,
        list_median([
            volume_usd_0, volume_usd_1, volume_usd_2, volume_usd_3, volume_usd_4, volume_usd_5, volume_usd_6
        ]) as volume_median_7d_usd,
        case
            when has_volumes_30d then volume_usd_0 > 0 and volume_usd_0 = volume_max_30d_usd
        end as is_volume_high_30d,
        {{ level('open_interest_usd') }} as open_interest_usd,
        perp_volume_usd,

        ---------- knowledge
        count_rows,
        count_assumed

    from returns

)

select * from windows
