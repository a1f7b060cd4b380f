{#- A row lives on after its label: the levels of strategy.md section 2 may read it. -#}
{%- set days_after = [3, var('staleness_days') | int] | max -%}

with

prices as (

    select * from {{ ref('int_price_versions') }}
    where is_read

),

market_caps as (

    select * from {{ ref('int_market_cap_versions') }}
    where is_read

),

volumes as (

    select * from {{ ref('int_volume_versions') }}
    where is_read

),

open_interests as (

    select * from {{ ref('int_open_interest_versions') }}
    where is_read

),

perp_volumes as (

    select * from {{ ref('int_perp_volume_versions') }}
    where is_read

),

funding_days as (

    select * from {{ ref('int_funding_days') }}

),

own_rows as (

    select
        asset_id,
        date,
        prices.close_usd,
        market_caps.market_cap_usd,
        volumes.volume_usd,
        open_interests.open_interest_usd,
        perp_volumes.perp_volume_usd,

        coalesce(funding_days.count_rows, 0)
        {%- for cte in ['prices', 'market_caps', 'volumes', 'open_interests', 'perp_volumes'] %}
        + cast({{ cte }}.known_basis is not null as integer)
        {%- endfor %} as count_rows,
        coalesce(funding_days.count_assumed, 0)
        {%- for cte in ['prices', 'market_caps', 'volumes', 'open_interests', 'perp_volumes'] %}
        + cast({{ cte }}.known_basis is not distinct from 'assumed' as integer)
        {%- endfor %} as count_assumed

    from (select * from prices where is_on_time) as prices
    {%- for cte in ['market_caps', 'volumes', 'open_interests', 'perp_volumes'] %}
    full join (select * from {{ cte }} where is_on_time) as {{ cte }} using (asset_id, date)
    {%- endfor %}
    full join (select * from funding_days where count_rows > 0) as funding_days using (asset_id, date)

),

lake_end as (

    select max(date) as last_date
    from (
        {% for cte in ['prices', 'market_caps', 'volumes', 'open_interests', 'perp_volumes', 'funding_days'] %}
        select max(date) as date from {{ cte }}
        {% if not loop.last %}union all{% endif %}
        {% endfor %}
    )

),

followed as (

    select
        asset_id,
        date,
        lead(date) over (partition by asset_id order by date) as next_date

    from own_rows

),

spans_without_own_row as (

    select
        asset_id,
        date + 1 as first_day,
        least(date + {{ days_after }}, next_date - 1) as last_day

    from followed
    where next_date is distinct from date + 1

    {% for cte in ['prices', 'market_caps', 'volumes', 'open_interests', 'perp_volumes'] %}
    union all

    select
        asset_id,
        read_from as first_day,
        date + {{ days_after }} as last_day

    from {{ cte }}
    where not is_on_time
    {% endfor %}
    union all

    select
        asset_id,
        first_read_on as first_day,
        date + {{ days_after }} as last_day

    from funding_days
    where first_read_on > date

),

days_without_own_row as (

    select distinct
        asset_id,
        first_day + cast(unnest(range(last_day + 1 - first_day)) as integer) as date

    from spans_without_own_row
    where first_day <= last_day

),

days as (

    select * from own_rows
    union all by name
    select
        asset_id,
        date,
        0 as count_rows,
        0 as count_assumed
    from days_without_own_row
    anti join own_rows using (asset_id, date)
    where date <= (select last_date from lake_end)

)

select
    asset_id,
    date,
    close_usd,
    market_cap_usd,
    volume_usd,
    open_interest_usd,
    perp_volume_usd,
    cast(count_rows as integer) as count_rows,
    cast(count_assumed as integer) as count_assumed
from days
