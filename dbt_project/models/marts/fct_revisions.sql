with

versions as not materialized (

    select * from {{ ref('int_fact_versions') }}

),

superseded as (

    select * from versions
    where known_to is not null

),

revisions as (

    select
        ---------- ids
        versions.fact,
        versions.asset_id,
        versions.source,

        ---------- time
        versions.date,
        versions.settled_at,
        superseded.known_from as previous_known_at,
        versions.known_from as known_at,
        versions.read_from,
        date_diff('minute', cast(versions.date + 1 as timestamp), versions.known_from) as delay_minutes,

        ---------- measures
        superseded.value as previous_value,
        versions.value,
        case
            when superseded.value != 0 then versions.value / superseded.value - 1
        end as relative_change

    from versions
    inner join superseded
        on
            versions.fact = superseded.fact
            and versions.asset_id = superseded.asset_id
            and versions.date = superseded.date
            and versions.settled_at is not distinct from superseded.settled_at
            and versions.known_from = superseded.known_to
    where not versions.is_first_version

)

select * from revisions
