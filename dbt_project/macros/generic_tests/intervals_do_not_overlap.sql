{# Of one key, the intervals [read_from, read_to) follow each other: no row reads two versions. #}
{% test intervals_do_not_overlap(model, key) %}

select * from (
    select
        *,
        lead(read_from) over (partition by {{ key | join(', ') }} order by read_from) as next_read_from
    from {{ model }}
)
where
    read_to <= read_from
    or read_to is distinct from next_read_from

{% endtest %}
