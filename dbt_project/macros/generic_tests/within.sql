{# Each value is null or inside its closed range; a bound may be a column, null = none. #}
{% test within(model, ranges) %}

select *
from {{ model }}
where
    {% for column, bounds in ranges.items() -%}
        {{ column }} < {{ bounds[0] if bounds[0] is not none else 'null' }}
        or {{ column }} > {{ bounds[1] if bounds[1] is not none else 'null' }}
        {{ 'or' if not loop.last }}
    {% endfor %}

{% endtest %}
