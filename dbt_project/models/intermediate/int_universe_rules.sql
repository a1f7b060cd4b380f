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

instruments_known as (

    select count(*) > 0 as has_instruments from instruments

),

listed_days as (

    select distinct
        asset_days.asset_id,
        asset_days.date

    from asset_days
    inner join instruments
        on
            asset_days.asset_id = instruments.asset_id
            and asset_days.date - instruments.listed_on >= {{ var('min_listing_days') | int }}
            and (instruments.delisted_on is null or asset_days.date < instruments.delisted_on)

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
        listed_days.asset_id is not null or not instruments_known.has_instruments as is_listed

    from asset_days
    cross join instruments_known
    inner join assets using (asset_id)
    left join listed_days using (asset_id, date)

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
