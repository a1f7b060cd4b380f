{# Each text of a column, and each part of one such as A|B, names one row on any day; null bounds are open. #}
{% test one_owner_a_day(model, columns) %}

with claims as (
    {% for column in columns -%}
        select
            '{{ column }}' as what,
            unnest(string_split({{ column }}, '|')) as identity,
            coalesce(valid_from, '-infinity') as first_date,
            coalesce(valid_to, 'infinity') as last_date
        from {{ model }}
        {{ 'union all' if not loop.last }}
    {% endfor %}
),

in_turn as (
    select
        *,
        max(last_date) over (
            partition by what, identity
            order by first_date, last_date
            rows between unbounded preceding and 1 preceding
        ) as taken_until
    from claims
)

select * from in_turn
where first_date <= taken_until

{% endtest %}
