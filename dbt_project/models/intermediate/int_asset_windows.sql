{%- set staleness_days = var('staleness_days') | int -%}
{%- set oldest_close = 7 -%}
{#- As long as a day lives on after its label (int_asset_date_spine). -#}
{%- set days_after = [3, staleness_days] | max -%}

{#- What a late or revised key changes: int_revised_windows yields these, too. -#}
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

days as (

    select * from {{ ref('int_asset_days') }}

),

revised as (

    select * from {{ ref('int_revised_windows') }}

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
        count_assumed,
        last_value(nullif(count_rows, 0) ignore nulls) over living_days is not null as is_alive

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
        living_days as (
            partition by asset_id order by date rows between {{ days_after }} preceding and current row
        ),
        last_7_days as (partition by asset_id order by date rows between 6 preceding and current row),
        last_30_days as (partition by asset_id order by date rows between 29 preceding and current row)

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
        unrevised.count_assumed,
        unrevised.is_alive

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
        count_assumed,
        is_alive

    from returns

)

select * from windows
