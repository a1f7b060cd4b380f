with

source as (

    select * from {{ source('lake', 'dim_table') }}

),

renamed as (

    select cast(table_name as varchar) as table_name
    from source

)

select * from renamed
