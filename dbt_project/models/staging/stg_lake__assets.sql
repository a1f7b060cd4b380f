with

source as (

    select * from {{ source('lake', 'dim_asset') }}

),

renamed as (

    select
        ---------- ids
        cast(asset_id as varchar) as asset_id,
        cast(name as varchar) as name,

        ---------- kind
        cast(kind as varchar) as kind,
        cast(is_stable as boolean) as is_stable,
        cast(is_wrapped as boolean) as is_wrapped,
        cast(is_commodity_or_equity as boolean) as is_commodity_or_equity

    from source

)

select * from renamed
