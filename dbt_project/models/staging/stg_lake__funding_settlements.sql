with

source as (

    select * from {{ source('lake', 'fact_funding_settlement') }}

),

renamed as (

    select
        ---------- ids
        cast(asset_id as varchar) as asset_id,
        cast(source as varchar) as source,

        ---------- time
        cast(settled_at as timestamp) as settled_at,
        cast(known_at as timestamp) as known_at,
        cast(known_basis as varchar) as known_basis,

        ---------- measures
        {{ number('funding_rate') }} as funding_rate,
        {{ number('interval_hours') }} as interval_hours,
        {{ number('mark_price') }} as mark_price_usd

    from source

)

select * from renamed
