with

days as (

    select
        asset_id,
        date,
        volume_usd

    from {{ ref('int_asset_days') }}

),

versions as (

    select * from {{ ref('int_volume_versions') }}

),

{{ values_by_age('volume_usd', 29) }},

windows as (

    select
        asset_id,
        date,
        {{ level('volume_usd') }} as volume_level_usd,
        list_median([
            {%- for age in range(7) %}volume_usd_{{ age }}{{ ', ' if not loop.last }}{% endfor -%}
        ]) as volume_median_7d_usd,
        case
            when
                {% for age in range(30) -%}
                    volume_usd_{{ age }} is not null{{ ' and ' if not loop.last }}
                {%- endfor %}
                then
                    volume_usd_0 > 0
                    and volume_usd_0 = greatest(
                        {%- for age in range(30) %}volume_usd_{{ age }}{{ ', ' if not loop.last }}{% endfor -%}
                    )
        end as is_volume_high_30d

    from values_by_age

)

select * from windows
