with

assets as (

    select * from {{ ref('stg_lake__assets') }}

),

instruments as (

    select * from {{ ref('stg_lake__instruments') }}

),

spans as (

    select * from {{ ref('int_asset_spans') }}

),

asset_ids as (

    select asset_id from assets
    union
    select asset_id from instruments
    union
    select asset_id from spans

),

life_cycles as (

    select
        asset_id,
        min(listed_on) as first_listed_on,
        case when count(*) = count(delisted_on) then max(delisted_on) end as delisted_on

    from instruments
    group by asset_id

),

described as (

    select
        asset_ids.asset_id,
        assets.name,
        coalesce(lower(trim(assets.kind)), 'coin') as kind,
        coalesce(lower(trim(assets.kind)), 'coin') != 'coin'
        or coalesce(assets.is_stable, false)
        or coalesce(assets.is_wrapped, false)
        or coalesce(assets.is_commodity_or_equity, false) as is_excluded_kind,
        asset_ids.asset_id in ('BTC', 'ETH') as is_major,
        life_cycles.first_listed_on,
        life_cycles.delisted_on

    from asset_ids
    left join assets using (asset_id)
    left join life_cycles using (asset_id)

)

select * from described
