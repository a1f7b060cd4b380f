{# The same keys as another model, none more and none less. #}
{% test same_keys(model, to, columns) %}

select {{ columns | join(', ') }} from (
    select
        {{ columns | join(', ') }},
        1 as side
    from {{ model }}
    union all
    select
        {{ columns | join(', ') }},
        -1 as side
    from {{ to }}
)
group by {{ columns | join(', ') }}
having sum(side) != 0

{% endtest %}
