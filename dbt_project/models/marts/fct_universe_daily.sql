{#- Never empty, so that the list is valid SQL: no asset is called ''. -#}
{%- set excluded = ["''"] -%}
{%- for asset_id in var('exclude_assets') or [] -%}
    {%- do excluded.append("'" ~ asset_id | replace("'", "''") ~ "'") -%}
{%- endfor -%}

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

lake_tables as (

    select * from {{ ref('stg_lake__tables') }}

),

perps as (

    select
        asset_id,
        listed_on + {{ var('min_listing_days') | int }} as eligible_from,
        coalesce(delisted_on, cast('9999-12-31' as date)) as eligible_to

    from instruments

),

knowledge as (

    -- Not whether it has rows: on a day before the first listing nothing is listed.
    select count(*) > 0 as has_instruments from lake_tables
    where table_name = 'dim_instrument'

),

-- The order is the definition: the first rule that fails is the reason.
judged as (

    select
        asset_days.asset_id,
        asset_days.date,
        case
            when assets.is_major then 'major'
            when assets.asset_id in ({{ excluded | join(', ') }}) then 'excluded'
            when assets.is_excluded_kind then 'kind'
            when asset_days.market_cap_usd is null or asset_days.market_cap_usd < {{ var('min_mcap_usd') }}
                then 'mcap'
            when
                asset_days.volume_median_7d_usd is null
                or asset_days.volume_median_7d_usd < {{ var('min_volume_usd') }}
                then 'volume'
            when asset_days.volume_level_usd is null then 'stale'
            when asset_days.close_usd is null or asset_days.previous_close_usd is null then 'closes'
        end as exclusion_reason

    from asset_days
    inner join assets using (asset_id)

),

listed as (

    select
        judged.asset_id,
        judged.date

    from judged
    semi join perps
        on
            judged.asset_id = perps.asset_id
            and judged.date >= perps.eligible_from
            and judged.date < perps.eligible_to
    where judged.exclusion_reason is null

),

universe as (

    select
        judged.asset_id,
        judged.date,
        case
            when judged.exclusion_reason is not null then judged.exclusion_reason
            when knowledge.has_instruments and listed.asset_id is null then 'listing'
        end as exclusion_reason

    from judged
    cross join knowledge
    left join listed
        on
            judged.asset_id = listed.asset_id
            and judged.date = listed.date

)

select
    asset_id,
    date,
    exclusion_reason is null as is_eligible,
    exclusion_reason
from universe
