with

source as (

    select * from {{ source('lake', 'fact_perp_volume') }}

),

renamed as (

    select
        ---------- ids
        cast(asset_id as varchar) as asset_id,
        cast(source as varchar) as source,

        ---------- time
        cast(date as date) as date,
        cast(known_at as timestamp) as known_at,
        cast(known_basis as varchar) as known_basis,

        ---------- measures
        {{ number('volume') }} as perp_volume_usd

    from source

)

select * from renamed
