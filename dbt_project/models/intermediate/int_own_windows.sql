{%- set staleness_days = var('staleness_days') | int -%}
{%- set oldest_close = 7 -%}
{%- set days_after = days_after_label() -%}

with

days as (

    select * from {{ ref('int_asset_days') }}

),

-- One row per calendar day: rows back are days back.
looked_back as (

    select
        asset_id,
        date,

        {{ days_back('close_usd', oldest_close) }}
        {{ days_back('market_cap_usd', staleness_days + 1) }}
        {{ days_back('volume_usd', staleness_days) }}
        {{ days_back('open_interest_usd', staleness_days) }}
        {{ days_back('count_rows', days_after) }}

        last_value(close_usd ignore nulls) over earlier_days as earlier_close_usd,
        last_value(case when close_usd is not null then date end ignore nulls) over earlier_days as earlier_close_date,

        median(volume_usd) over last_7_days as volume_median_7d_usd,
        -- A missing day counts as highest of all; windows have 30 days or are none.
        case
            when lag(date, 29) over asset_history is not null
                then nullif(max(coalesce(volume_usd, 'infinity')) over last_30_days, 'infinity')
        end as volume_max_30d_usd,

        perp_volume_usd,
        funding_rate_8h,
        funding_rate_1d,
        count_assumed

    from days

    window
        asset_history as (partition by asset_number order by date),
        earlier_days as (
            partition by asset_number order by date rows between unbounded preceding and 1 preceding
        ),
        last_7_days as (partition by asset_number order by date rows between 6 preceding and current row),
        last_30_days as (partition by asset_number order by date rows between 29 preceding and current row)

),

windows as (

    select
        asset_id,
        date,

        {% for age in range(oldest_close + 1) %}
            close_usd_{{ age }},
        {% endfor %}
        earlier_close_usd,
        earlier_close_date,

        {{ newest_of('market_cap_usd', 0, staleness_days) }} as market_cap_usd,
        {{ newest_of('market_cap_usd', 1, staleness_days + 1) }} as previous_market_cap_usd,
        volume_usd_0 as volume_usd,
        {{ newest_of('volume_usd', 0, staleness_days) }} as volume_level_usd,
        volume_median_7d_usd,
        case
            when volume_max_30d_usd is not null then volume_usd_0 > 0 and volume_usd_0 = volume_max_30d_usd
        end as is_volume_high_30d,
        {{ newest_of('open_interest_usd', 0, staleness_days) }} as open_interest_usd,

        perp_volume_usd,

        funding_rate_8h,
        funding_rate_1d,
        count_rows_0 as count_rows,
        count_assumed,
        greatest(
            {% for age in range(days_after + 1) -%}
                count_rows_{{ age }}{% if not loop.last %},{% endif %}
            {% endfor %}
        ) > 0 as is_alive

    from looked_back

)

select * from windows
