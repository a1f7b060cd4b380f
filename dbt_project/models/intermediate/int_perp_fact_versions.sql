with

funding_rates as (

    select * from {{ ref('int_funding_rate_versions') }}

),

settlements as (

    select * from {{ ref('int_settlement_versions') }}

),

open_interests as (

    select * from {{ ref('int_open_interest_versions') }}

),

perp_volumes as (

    select * from {{ ref('int_perp_volume_versions') }}

),

stacked as (

    {% for cte, fact, settled_at, value in [
        ('funding_rates', 'fact_funding', 'null', 'funding_rate_8h'),
        ('settlements', 'fact_funding_settlement', 'settled_at', 'funding_rate'),
        ('open_interests', 'fact_open_interest', 'null', 'open_interest_usd'),
        ('perp_volumes', 'fact_perp_volume', 'null', 'perp_volume_usd'),
    ] %}
        select
            '{{ fact }}' as fact,
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
