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

    {% for cte, fact, settled_at, value in [
        ('prices', "'fact_price'", 'null', 'close_usd'),
        ('market_caps', "'fact_marketcap'", 'null', 'market_cap_usd'),
        ('volumes', "'fact_volume'", 'null', 'volume_usd'),
        ('perp_facts', 'fact', 'settled_at', 'value'),
    ] %}
        select
            {{ fact }} as fact,
            asset_id,
            asset_number,
            source,
            date,
            cast({{ settled_at }} as timestamp) as settled_at,
            known_basis,
            known_from,
            known_to,
            read_from,
            is_first_version,
            is_read,
            is_on_time,
            {{ value }} as value
        from {{ cte }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

)

select * from stacked
