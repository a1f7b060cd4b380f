with

settlements as (

    select * from {{ ref('stg_lake__funding_settlements') }}

),

asset_numbers as (

    select * from {{ ref('int_asset_numbers') }}

),

stamped as (

    -- Venues stamp a settlement some milliseconds late.
    select * replace (date_trunc('minute', settled_at + to_seconds(30)) as settled_at)
    from settlements

),

facts as (

    -- The settlement at midnight closes the day: (t 00:00, t+1 00:00].
    select
        *,
        cast(settled_at - to_minutes(1) as date) as date

    from stamped

),

{{ versions_of_facts(
    key=['settled_at'], values=['funding_rate', 'interval_hours', 'mark_price_usd']
) }}

select * from versions
