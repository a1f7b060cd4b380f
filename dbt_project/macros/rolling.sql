{# Windows over one row per calendar day. The caller names a window of `days` rows that ends at the
   row; the result is null unless each of its days has a value.
   A list is taken first, because the order in which a window function adds floats depends on where
   the window falls in its partition, and the last bits with it. #}


{% macro rolling(aggregate, column, days, window) -%}
    case
        when count({{ column }}) over {{ window }} = {{ days }}
            then list_aggregate(list({{ column }}) over {{ window }}, '{{ aggregate }}')
    end
{%- endmacro %}


{# Null where every value of the window is the same. #}
{% macro zscore(column, days, window) -%}
    case
        when
            count({{ column }}) over {{ window }} = {{ days }}
            and max({{ column }}) over {{ window }} > min({{ column }}) over {{ window }}
            then
                ({{ column }} - list_aggregate(list({{ column }}) over {{ window }}, 'avg'))
                / list_aggregate(list({{ column }}) over {{ window }}, 'stddev_samp')
    end
{%- endmacro %}
