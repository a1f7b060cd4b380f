with

prices as (

    select * from {{ ref('stg_lake__prices') }}

),

market_caps as (

    select * from {{ ref('stg_lake__market_caps') }}

),

volumes as (

    select * from {{ ref('stg_lake__volumes') }}

),

perp_asset_ids as (

    select * from {{ ref('int_perp_asset_ids') }}

),

asset_ids as (

    select asset_id from prices
    union
    select asset_id from market_caps
    union
    select asset_id from volumes
    union
    select asset_id from perp_asset_ids

),

numbered as (

    select
        asset_id,
        cast(row_number() over (order by asset_id) as integer) as asset_number

    from asset_ids

)

select * from numbered
