{# The time rule, once: strategy.md section 1, pipelines/pipeline_kit/calendar.py, ADR 0005. #}


{# The first row that may read a value of day `date` learnt at `known_at`:
   row t reads what was known before t+2 00:00. #}
{% macro first_row_to_read(date, known_at) -%}
    greatest({{ date }}, cast({{ known_at }} as date) - 1)
{%- endmacro %}


{# Whether row `row_date` reads the version `version`. Comparisons only, without `or`: DuckDB answers
   an outer join on anything else with nested loops. #}
{% macro reads(row_date, version) -%}
    {{ row_date }} >= {{ version }}.read_from
    and {{ row_date }} < coalesce({{ version }}.read_to, cast('9999-12-31' as date))
{%- endmacro %}


{# When a back-filled value of day `date` is taken to have become known. #}
{% macro assumed_known_at(date, source) -%}
    cast({{ date }} + 1 as timestamp) + to_seconds(
        60.0 * case
            when starts_with(lower({{ source }}), 'coingecko') then {{ var('lag_minutes_coingecko') }}
            else {{ var('lag_minutes_default') }}
        end
    )
{%- endmacro %}


{# CTE `versions` over the CTE `facts`: every version of every key with the interval in which it was
   the newest [known_from, known_to) and the rows that read it [read_from, read_to).

   key: columns that name the fact beside asset_id and date; values: its measures, the first of which
   decides whether there is a row at all. Two versions learnt at once are a duplicate that the lake
   refuses; ordering by value keeps even that case independent of row order. #}
{% macro versions_of_facts(values, key=[]) -%}
    known as (

        select
            facts.asset_id,
            asset_numbers.asset_number,
            facts.date,
            {% for column in key + values -%}
                facts.{{ column }},
            {% endfor -%}
            facts.source,
            coalesce(facts.known_at, {{ assumed_known_at('facts.date', 'facts.source') }}) as known_from,
            case
                when facts.known_at is null then 'assumed'
                else coalesce(facts.known_basis, 'observed')
            end as known_basis

        from facts
        inner join asset_numbers using (asset_id)
        where facts.{{ values[0] }} is not null

    ),

    known_by_then as (

        select * from known
        {% if var('known_at') -%}
            where known_from <= cast(cast('{{ var("known_at") }}' as timestamptz) as timestamp)
        {%- endif %}

    ),

    ordered as (

        select
            *,
            lag(known_from) over key_history is null as is_first_version,
            lead(known_from) over key_history as known_to

        from known_by_then

        window key_history as (
            partition by {{ (['asset_number', 'date'] + key) | join(', ') }}
            order by known_from, {{ (values + ['known_basis', 'source']) | join(', ') }}
        )

    ),

    readable as (

        select
            *,
            {% if var('vintage') == 'latest' -%}
                date as read_from,
                case when known_to is not null then date end as read_to
            {%- else -%}
                {{ first_row_to_read('date', 'known_from') }} as read_from,
                case when known_to is not null then {{ first_row_to_read('date', 'known_to') }} end as read_to
            {%- endif %}

        from ordered

    ),

    versions as (

        select
            asset_id,
            asset_number,
            date,
            {% for column in key + values -%}
                {{ column }},
            {% endfor -%}
            source,
            known_basis,
            known_basis = 'assumed' as is_assumed,
            known_from,
            known_to,
            read_from,
            read_to,
            is_first_version,
            read_to is null or read_from < read_to as is_read,
            (read_to is null or read_from < read_to) and read_from = date as is_on_time

        from readable

    )
{%- endmacro %}
