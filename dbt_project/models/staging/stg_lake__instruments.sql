with

source as (

    select * from {{ source('lake', 'dim_instrument') }}

),

renamed as (

    select
        ---------- ids
        cast(instrument_id as varchar) as instrument_id,
        cast(asset_id as varchar) as asset_id,
        cast(venue as varchar) as venue,
        cast(base_symbol as varchar) as base_symbol,

        ---------- time
        cast(listed_on as date) as listed_on,
        cast(delisted_on as date) as delisted_on,

        ---------- terms
        {{ number('multiplier') }} as multiplier,
        {{ number('funding_interval_hours') }} as funding_interval_hours

    from source

)

select * from renamed
