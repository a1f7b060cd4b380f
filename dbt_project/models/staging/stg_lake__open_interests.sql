with

source as (

    select * from {{ source('lake', 'fact_open_interest') }}

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
        {{ number('open_interest_usd') }} as open_interest_usd

    from source

)

select * from renamed
