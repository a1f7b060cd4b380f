{%- set excluded = var('exclude_assets') or [] -%}

with

asset_days as (

    select * from {{ ref('fct_asset_daily') }}

),

assets as (

    select * from {{ ref('dim_assets') }}

),

instruments as (

    select * from {{ ref('stg_lake__instruments') }}

),

perps as (

    select
        asset_id,
        list({'listed_on': listed_on, 'delisted_on': delisted_on}) as lives

    from instruments
    group by asset_id

),

judged as (

    select
        asset_days.asset_id,
        asset_days.date,
        assets.is_major,
        asset_days.asset_id in ('',{% for asset_id in excluded %} '{{ asset_id | replace("'", "''") }}',{% endfor %}) as is_excluded,
        assets.is_excluded_kind,
        coalesce(asset_days.market_cap_usd >= {{ var('min_mcap_usd') }}, false) as is_large,
        coalesce(asset_days.volume_median_7d_usd >= {{ var('min_volume_usd') }}, false) as is_liquid,
        asset_days.market_cap_usd is not null and asset_days.volume_level_usd is not null as is_fresh,
        asset_days.close_usd is not null and asset_days.previous_close_usd is not null as has_closes,
        not exists (select * from instruments) or coalesce(
            list_bool_or(
                [
                    asset_days.date - life.listed_on >= {{ var('min_listing_days') | int }}
                    and (life.delisted_on is null or asset_days.date < life.delisted_on)
                    for life in perps.lives
                ]
            ),
            false
        ) as is_listed

    from asset_days
    inner join assets using (asset_id)
    left join perps using (asset_id)

),

-- The order is the definition: the first rule that fails is the reason.
reasoned as (

    select
        asset_id,
        date,
        case
            when is_major then 'major'
            when is_excluded then 'excluded'
            when is_excluded_kind then 'kind'
            when not is_large then 'mcap'
            when not is_liquid then 'volume'
            when not is_fresh then 'stale'
            when not has_closes then 'closes'
            when not is_listed then 'listing'
        end as exclusion_reason

    from judged

)

select * from reasoned
