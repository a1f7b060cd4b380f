{%- set zscore_days = var('zscore_days') | int -%}

with

raw_features as (

    select * from {{ ref('int_raw_features') }}

),

scored as (

    select
        *,
        {% for name in feature_names() %}
            {{ zscore('raw_' ~ name, zscore_days, 'zscore_days') }} as z_{{ name }}{% if not loop.last %},{% endif %}
        {% endfor %}

    from raw_features

    window zscore_days as (order by date rows between {{ zscore_days - 1 }} preceding and current row)

),

features as (

    select
        date,
        {% for name in feature_names() %}
            raw_{{ name }},
        {% endfor %}
        {% for name in feature_names() %}
            z_{{ name }},
        {% endfor %}
        has_funding,
        funding_oi_coverage,
        oi_is_proxy,
        {% for name in primary_feature_names() %}
            z_{{ name }} is not null{% if not loop.last %} and{% endif %}
        {% endfor %} as valid,
        share_assumed

    from scored

)

select * from features
