"""Daily signal: source -> lake -> warehouse -> signal and backtest -> report -> delivery.

Runs at 00:50 UTC for the UTC day that has just closed. Safe to clear and re-run: the same day
gives the same bytes, and mail is sent once per run and recipient. A manual run has no data
interval, so it must pass ``asof``; ``lake`` imports an existing lake instead of fetching. On
failure, start at ``docs/runbooks/daily_signal_failed.md``.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import (
    DAG,
    CronDataIntervalTimetable,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    get_current_context,
    task,
)

# The interval is [D 00:50, D+1 00:50). A manual run has none: it must pass ``asof``, and without it
# the first task says that 'None' is no day, at once, where an undefined name would be tried again.
ASOF = "{{ params.asof or (data_interval_start | default(none) | ds) }}"

A_PERSON_MUST_EDIT = ["pipeline_kit.errors.UsageProblem"]


def alert(context):
    """Report a failed task; one message per incident."""
    from pipeline_kit.alerts import task_failed

    task_failed(context)


with DAG(
    dag_id="daily_signal",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("50 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params={
        "asof": Param(
            None,
            type=["null", "string"],
            format="date",
            description="UTC day; a run by hand must name it",
        ),
        "lake": Param(
            None, type=["null", "string"], description="folder to import instead of fetching"
        ),
    },
    default_args={
        "retries": 4,
        "retry_delay": timedelta(minutes=1),
        "retry_policy": ExceptionRetryPolicy(
            rules=[RetryRule(A_PERSON_MUST_EDIT, RetryAction.FAIL)]
        ),
        "execution_timeout": timedelta(minutes=30),
        "on_failure_callback": alert,
    },
    tags=["production"],
):

    @task(pool="vendors")
    def ingest(asof: str, lake: str) -> None:
        """``python -m lake_ingest.fetch`` up to ASOF, or ``import_lake LAKE``; gate 1 inside."""
        from lake_ingest.connections import use_connections
        from lake_ingest.daily import ingest_day

        use_connections()
        ingest_day(asof, lake)

    @task
    def build_warehouse(asof: str) -> None:
        """Build the warehouse of the sealed lake, and its lineage page."""
        from majors_alts_monitor.daily import build_day

        build_day(asof)

    @task
    def gate_marts(asof: str) -> None:
        """Judge the marts, gate 2; publish them as ``current.duckdb`` when they pass."""
        from majors_alts_monitor.daily import gate_day

        gate_day(asof)

    @task(execution_timeout=timedelta(minutes=10), retries=0)
    def replay_before(asof: str) -> None:
        """Take the decision of the day before again; what differs is shown in the report."""
        from majors_alts_monitor.daily import replay_before

        replay_before(asof)

    # Marts that failed their gate are never traded on; a replay that failed holds nothing back.
    @task(trigger_rule="all_done_min_one_success")
    def signal_and_backtest(asof: str) -> None:
        """``python -m majors_alts_monitor.run --end ASOF`` with report, email and charts."""
        from majors_alts_monitor.daily import run_day

        run_day(asof)

    @task
    def deliver(asof: str) -> None:
        """``python -m majors_alts_monitor.delivery --asof ASOF``."""
        from majors_alts_monitor.daily import headline
        from majors_alts_monitor.delivery import deliver_day

        note = get_current_context()["task_state_store"]
        note.set("delivered", deliver_day(asof))
        note.set("headline", headline(asof))

    @task
    def report_health(asof: str) -> None:
        """Publish metrics beside the run; open and close incidents."""
        from majors_alts_monitor.health import report_health

        report_health(asof)

    judged, signal = gate_marts(ASOF), signal_and_backtest(ASOF)
    ingest(ASOF, "{{ params.lake or '' }}") >> build_warehouse(ASOF) >> judged
    judged >> replay_before(ASOF) >> signal
    judged >> signal >> deliver(ASOF) >> report_health(ASOF)
