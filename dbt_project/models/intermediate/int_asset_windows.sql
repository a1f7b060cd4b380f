{%- set oldest_close = 7 -%}

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

unrevised as (

    select * from {{ ref('int_own_windows') }}

),

revised as (

    select * from {{ ref('int_revised_windows') }}

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
