with

days as (

    select
        asset_id,
        date,
        close_usd

    from {{ ref('int_asset_days') }}

),

versions as (

    select * from {{ ref('int_price_versions') }}

),

{{ values_by_age('close_usd', 7) }},

returns as (

    select
        asset_id,
        date,
        {% for age in range(8) -%}
            close_usd_{{ age }},
        {% endfor -%}
        {% for age in range(7) -%}
            close_usd_{{ age }} / close_usd_{{ age + 1 }} - 1 as return_{{ age }}{{ ',' if not loop.last }}
        {% endfor %}

    from values_by_age

),

windows as (

    select
        asset_id,
        date,

        close_usd_0 as close_usd,
        close_usd_1 as previous_close_usd,
        return_0 as return_1d,
        close_usd_0 / close_usd_3 - 1 as return_3d,

        -- Summed from the oldest day on, so that the bits do not depend on how a window is cut.
        (return_2 + return_1 + return_0) / 3 as mean_return_3d,
        (return_6 + return_5 + return_4 + return_3 + return_2 + return_1 + return_0) / 7 as mean_return_7d

    from returns

)

select * from windows
