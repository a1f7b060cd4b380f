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

-- The days on which some perpetual is old enough and alive, as spans that neither touch nor overlap.
perps as (

    select
        asset_id,
        listed_on + {{ var('min_listing_days') | int }} as eligible_from,
        coalesce(delisted_on, cast('9999-12-31' as date)) as eligible_to

    from instruments

),

marked as (

    select
        *,
        coalesce(eligible_from > max(eligible_to) over earlier, true) as is_start

    from perps
    where eligible_from < eligible_to

    window
        earlier as (
            partition by asset_id
            order by eligible_from, eligible_to rows between unbounded preceding and 1 preceding
        )

),

numbered as (

    select
        *,
        sum(cast(is_start as integer)) over so_far as span

    from marked

    window so_far as (partition by asset_id order by eligible_from, eligible_to rows unbounded preceding)

),

spans as (

    select
        asset_id,
        min(eligible_from) as eligible_from,
        max(eligible_to) as eligible_to

    from numbered
    group by asset_id, span

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

        ---------- what the features read
        asset_days.return_1d,
        asset_days.mean_return_3d,
        asset_days.mean_return_7d,
        asset_days.market_cap_usd,
        asset_days.previous_market_cap_usd,
        asset_days.volume_level_usd,
        asset_days.is_volume_high_30d,
        asset_days.funding_rate_8h,
        asset_days.open_interest_usd,
        asset_days.count_rows,
        asset_days.count_assumed,

        ---------- universe
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
            when knowledge.has_instruments and spans.asset_id is null then 'listing'
        end as exclusion_reason

    from asset_days
    inner join assets using (asset_id)
    cross join knowledge
    left join spans
        on
            asset_days.asset_id = spans.asset_id
            and asset_days.date >= spans.eligible_from
            and asset_days.date < spans.eligible_to

)

select * from judged
