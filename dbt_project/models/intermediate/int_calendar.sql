with

labels as (

    {% for versions in [
        'int_price_versions',
        'int_market_cap_versions',
        'int_volume_versions',
        'int_open_interest_versions',
        'int_perp_volume_versions',
        'int_funding_days',
    ] %}
        select
            min(date) as first_date,
            max(date) as last_date
        from {{ ref(versions) }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

bounds as (

    select
        min(first_date) as first_date,
        max(last_date) as last_date

    from labels

),

calendar as (

    select first_date + cast(unnest(range(last_date + 1 - first_date)) as integer) as date
    from bounds

)

select * from calendar
