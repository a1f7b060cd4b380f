with

prices as (

    select * from {{ ref('int_price_versions') }}

),

market_caps as (

    select * from {{ ref('int_market_cap_versions') }}

),

volumes as (

    select * from {{ ref('int_volume_versions') }}

),

perp_facts as (

    select * from {{ ref('int_perp_fact_versions') }}

),

stacked as (

    {% for cte, fact, value in [
        ('prices', 'fact_price', 'close_usd'),
        ('market_caps', 'fact_marketcap', 'market_cap_usd'),
        ('volumes', 'fact_volume', 'volume_usd'),
    ] -%}
    select
        '{{ fact }}' as fact,
        asset_id,
        source,
        date,
        cast(null as timestamp) as settled_at,
        known_basis,
        known_from,
        known_to,
        read_from,
        is_first_version,
        {{ value }} as value
    from {{ cte }}

    union all

    {% endfor -%}
    select * from perp_facts

)

select * from stacked
