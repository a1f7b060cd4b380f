{# Windows over one row per calendar day: `days` rows ending at t, null unless each has a value.
   A list is taken first, because the order in which a window function adds floats depends on where
   the window falls in its partition, and the last bits with it. #}


{% macro days_ending_here(days) -%}
    over (order by date rows between {{ days - 1 }} preceding and current row)
{%- endmacro %}


{% macro rolling(aggregate, column, days) -%}
    case
        when count({{ column }}) {{ days_ending_here(days) }} = {{ days }}
            then list_aggregate(list({{ column }}) {{ days_ending_here(days) }}, '{{ aggregate }}')
    end
{%- endmacro %}


{# Null where every value of the window is the same. #}
{% macro zscore(column, days) -%}
    case
        when
            count({{ column }}) {{ days_ending_here(days) }} = {{ days }}
            and max({{ column }}) {{ days_ending_here(days) }} > min({{ column }}) {{ days_ending_here(days) }}
            then
                ({{ column }} - list_aggregate(list({{ column }}) {{ days_ending_here(days) }}, 'avg'))
                / list_aggregate(list({{ column }}) {{ days_ending_here(days) }}, 'stddev_samp')
    end
{%- endmacro %}


{% macro days_ago(column, days) -%}
    lag({{ column }}, {{ days }}) over (order by date)
{%- endmacro %}
