"""Fetch one day's partition from the vendors into the lake.

`airflow backfill create --dag-id ingest_history --from-date FIRST --to-date DAY_AFTER_LAST` fills a
range, one run a day. The DAG must be unpaused; it then also fetches every day again at 04:00 UTC,
which catches what vendors published or revised late; nothing is ever removed. On failure, start at
`docs/runbooks/ingest_history_failed.md`.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import (
    DAG,
    CronDataIntervalTimetable,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    task,
)

A_PERSON_MUST_EDIT = ["pipeline_kit.errors.UsageProblem"]
SOURCES = ["coinglass", "coingecko", "binance"]


def alert(context):
    """Report a failed task; one message per incident."""
    from pipeline_kit.alerts import task_failed

    task_failed(context)


def recover(context):
    """Say once that what was reported is over."""
    from pipeline_kit.alerts import task_recovered

    task_recovered(context)


with DAG(
    dag_id="ingest_history",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 4 * * *", timezone="UTC"),
    start_date=datetime(2019, 1, 1, tzinfo=UTC),
    catchup=False,
    # The lake has one writer; more runs would only wait for each other.
    max_active_runs=1,
    params={
        "sources": Param(
            SOURCES, type="array", items={"type": "string", "enum": SOURCES}, minItems=1
        )
    },
    default_args={
        "retries": 4,
        "retry_delay": timedelta(minutes=2),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
        "retry_policy": ExceptionRetryPolicy(
            rules=[RetryRule(A_PERSON_MUST_EDIT, RetryAction.FAIL)]
        ),
        "execution_timeout": timedelta(minutes=30),
        "on_failure_callback": alert,
    },
    tags=["production"],
):

    @task(pool="vendors", on_success_callback=recover)
    def ingest(day: str, params: dict | None = None) -> None:
        """``python -m lake_ingest.fetch --start DAY --end DAY --sources ...``; gate 1 inside."""
        from lake_ingest.connections import use_connections
        from lake_ingest.fetch import fetch_days

        use_connections()
        fetch_days(day, day, sources=params["sources"], is_resumed=True)

    ingest("{{ data_interval_start | ds }}")
