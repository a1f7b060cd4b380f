"""Look after the lake and the metadata once a week.

Verifies every checksum and key of the lake, proves causality on recent days, writes many small
parts as one, removes what is older than its retention, and cleans Airflow's own tables. On
failure, start at `docs/runbooks/maintenance_failed.md`.
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


def alert(context):
    """Report a failed task; one message per incident."""
    from pipeline_kit.alerts import task_failed

    task_failed(context)


def recover(context):
    """Say once that what was reported is over."""
    from pipeline_kit.alerts import task_recovered

    task_recovered(context)


with DAG(
    dag_id="maintenance",
    doc_md=__doc__,
    # Sunday, between two daily signals.
    schedule=CronDataIntervalTimetable("0 6 * * 0", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params={
        "audit_days": Param(120, type="integer", minimum=1, description="range of the proof"),
        "audit_cuts": Param(3, type="integer", minimum=1, maximum=50),
        "bronze_days": Param(
            None, type=["null", "integer"], minimum=7, description="null keeps vendor answers"
        ),
        "quarantine_days": Param(365, type=["null", "integer"], minimum=7),
        "cache_days": Param(30, type="integer", minimum=7, description="warehouses, sweeps"),
        "lake_days": Param(
            365,
            type=["null", "integer"],
            minimum=7,
            description="states of the lake that runs read; null keeps them",
        ),
        "metadata_days": Param(90, type="integer", minimum=7),
    },
    default_args={
        "retries": 1,
        "retry_delay": timedelta(minutes=10),
        "retry_policy": ExceptionRetryPolicy(
            rules=[RetryRule(A_PERSON_MUST_EDIT, RetryAction.FAIL)]
        ),
        "execution_timeout": timedelta(hours=3),
        "on_failure_callback": alert,
    },
    tags=["production"],
):

    @task
    def verify() -> None:
        """``python -m lake_ingest.verify``."""
        from lake_ingest.verify import main

        main([])

    @task(pool="backtests")
    def audit(params: dict | None = None) -> None:
        """``python -m majors_alts_monitor.audit`` over the lake's last days."""
        from majors_alts_monitor.upkeep import audit_recent

        audit_recent(params["audit_days"], params["audit_cuts"])

    @task
    def compact(params: dict | None = None) -> None:
        """``python -m lake_ingest.compact`` with the ages of vendor answers and quarantine."""
        from lake_ingest.compact import main

        ages = {name: params[f"{name}_days"] for name in ("bronze", "quarantine")}
        main([f"--{name}-days={days}" for name, days in ages.items() if days is not None])

    @task
    def expire(params: dict | None = None) -> None:
        """``python -m majors_alts_monitor.upkeep``: caches, working folders, states of the lake."""
        from majors_alts_monitor.upkeep import expire_lakes, expire_work

        expire_work(params["cache_days"])
        if params["lake_days"] is not None:
            expire_lakes(params["lake_days"])

    @task(on_success_callback=recover)
    def clean_metadata(params: dict | None = None) -> None:
        """``airflow db clean``: the runs and logs Airflow keeps about itself."""
        from pipeline_kit.local_airflow import clean_metadata

        clean_metadata(params["metadata_days"])

    verify() >> audit() >> compact() >> expire() >> clean_metadata()
