with

settlements as (

    select * from {{ ref('int_settlement_versions') }}
    where is_on_time

),

closes as (

    select * from {{ ref('int_price_versions') }}
    where is_read

),

-- A settlement is paid on the mark; the book's weight stands on the close of t-1.
paid as (

    select
        settlements.asset_number,
        settlements.date,
        settlements.funding_rate,
        settlements.interval_hours,
        settlements.is_assumed,
        settlements.funding_rate * coalesce(settlements.mark_price_usd / closes.close_usd, 1) as paid_rate

    from settlements
    left join closes
        on
            settlements.asset_number = closes.asset_number
            and settlements.date - 1 = closes.date
            and {{ reads('settlements.date', 'closes') }}

),

settled_days as (

    select
        asset_number,
        date,
        {{ exact_sum('funding_rate', bits=40) }} as settled_rate,
        {{ exact_sum('paid_rate', bits=40) }} as paid_rate,
        coalesce({{ exact_sum('interval_hours', bits=30) }}, 0) as hours_covered,
        count(*) as count_settlements,
        count(*) filter (where is_assumed) as count_assumed

    from paid
    group by asset_number, date

),

rates as (

    select
        asset_number,
        date,

        -- Under 16 hours of settlements do not stand for a day.
        case when hours_covered >= 16 then settled_rate / 3 end as funding_rate_8h,
        case when hours_covered >= 16 then paid_rate end as funding_rate_1d,

        hours_covered,
        count_settlements,
        count_assumed

    from settled_days

)

select * from rates
