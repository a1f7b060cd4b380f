{%- set zscore_days = var('zscore_days') | int -%}

with

raw_features as (

    select * from {{ ref('int_raw_features') }}

),

scored as (

    select
        *,
        {% for name in feature_names() -%}
            {{ zscore('raw_' ~ name, zscore_days) }} as z_{{ name }}{{ ',' if not loop.last }}
        {% endfor %}

    from raw_features

),

features as (

    select
        date,
        {% for name in feature_names() -%}
            raw_{{ name }},
        {% endfor -%}
        {% for name in feature_names() -%}
            z_{{ name }},
        {% endfor -%}
        has_funding,
        funding_oi_coverage,
        oi_is_proxy,
        {% for name in primary_feature_names() -%}
            z_{{ name }} is not null{{ ' and ' if not loop.last }}
        {%- endfor %} as valid,
        share_assumed

    from scored

)

select * from features
