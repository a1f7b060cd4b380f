with

instruments as (

    select * from {{ ref('stg_lake__instruments') }}

),

-- Perpetuals in the order in which the world learnt of them: a later one changes no earlier day.
listed as (

    select
        asset_id,
        listed_on,
        max(coalesce(delisted_on, cast('9999-12-31' as date))) as last_delisted_on

    from instruments
    where listed_on is not null
    group by asset_id, listed_on

),

followed as (

    select
        asset_id,
        listed_on,
        max(last_delisted_on) over so_far as last_delisted_on,
        lead(listed_on) over listings as next_listed_on

    from listed

    window
        listings as (partition by asset_id order by listed_on),
        so_far as (partition by asset_id order by listed_on rows between unbounded preceding and current row)

),

spans as (

    select
        asset_id,
        greatest(listed_on, last_delisted_on) as delisted_from,
        coalesce(next_listed_on, cast('9999-12-31' as date)) as delisted_to

    from followed

)

select * from spans
where delisted_from < delisted_to
