with

funding_days as (

    select * from {{ ref('int_funding_days') }}
    where count_rows > 0

),

settlements as (

    select * from {{ ref('int_settlement_versions') }}
    where is_on_time

),

closes as (

    select * from {{ ref('int_price_versions') }}
    where is_read

),

charged as (

    -- A settlement is paid on the mark; the book's weight stands on the close of t-1.
    select
        settlements.asset_id,
        settlements.date,
        {{ exact_sum(
            'settlements.funding_rate * coalesce(settlements.mark_price_usd / closes.close_usd, 1)',
            bits=60
        ) }} as funding_rate_1d

    from settlements
    left join closes
        on
            settlements.asset_id = closes.asset_id
            and settlements.date - 1 = closes.date
            and {{ reads('settlements.date', 'closes') }}
    group by settlements.asset_id, settlements.date

),

rates as (

    select
        funding_days.asset_id,
        funding_days.date,

        coalesce(funding_days.settled_rate_8h, funding_days.quoted_rate_8h) as funding_rate_8h,
        case
            when funding_days.settled_rate_8h is not null then charged.funding_rate_1d
            else 3 * funding_days.quoted_rate_8h
        end as funding_rate_1d,

        cast(funding_days.count_settlements as integer) as count_settlements,
        funding_days.hours_covered,
        case
            when funding_days.settled_rate_8h is not null then 'settlement'
            when funding_days.quoted_rate_8h is not null then 'daily'
        end as basis

    from funding_days
    left join charged using (asset_id, date)

)

select * from rates
