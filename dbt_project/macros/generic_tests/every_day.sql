{# One row for each day from the first to the last. #}
{% test every_day(model) %}

select
    min(date) as first_date,
    max(date) as last_date,
    count(*) as count_rows

from {{ model }}
having count(*) != max(date) - min(date) + 1

{% endtest %}
