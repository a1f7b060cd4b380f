"""Backtest any range, or a sweep of configurations mapped over tasks, and compare the members.

Runs by hand. `sweep` maps a dotted key to the values to try; every combination is one member.
`dry_run` prints the plan with ids and stops. Clearing tasks or triggering the same sweep again
skips members that are finished. Results: `runs/backtests/<sweep_id>/` in the bucket. On failure,
start at `docs/runbooks/backfill_backtest_failed.md`.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import (
    DAG,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    get_current_context,
    task,
)

A_PERSON_MUST_EDIT = ["pipeline_kit.errors.UsageProblem"]
TEXT_OR_NULL = ["null", "string"]


def alert(context):
    """Report a failed task; one message per incident."""
    from pipeline_kit.alerts import task_failed

    task_failed(context)


with DAG(
    dag_id="backfill_backtest",
    doc_md=__doc__,
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    max_active_runs=4,
    params={
        "start": Param("2024-01-01", type="string", format="date", description="first day"),
        "end": Param("2024-12-31", type="string", format="date", description="last day"),
        "config": Param(None, type=TEXT_OR_NULL, description="YAML on the worker"),
        "overrides": Param({}, type="object", description='{"universe.basket_size": 10}'),
        "sweep": Param(
            {},
            type="object",
            additionalProperties={"type": "array", "minItems": 1},
            description='{"universe.basket_size": [10, 20, 30]}',
        ),
        "known_at": Param(None, type=TEXT_OR_NULL, description="read nothing learnt later"),
        "max_runs": Param(
            64, type="integer", minimum=1, maximum=512, description="refuse a larger sweep"
        ),
        "email_to": Param([], type="array", items={"type": "string", "format": "email"}),
        "dry_run": Param(False, type="boolean", description="plan with ids, then stop"),
    },
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "retry_policy": ExceptionRetryPolicy(
            rules=[RetryRule(A_PERSON_MUST_EDIT, RetryAction.FAIL)]
        ),
        "execution_timeout": timedelta(hours=2),
        "on_failure_callback": alert,
    },
    tags=["research"],
):

    @task
    def plan(params: dict | None = None) -> list[dict]:
        """Validate, write the plan, and return one small mapping a member; none on a dry run."""
        from majors_alts_monitor.backfill import describe_backfill, plan_backfill

        planned = plan_backfill(params)
        lines = describe_backfill(planned)
        print(*lines, sep="\n")  # noqa: T201
        get_current_context()["task_state_store"].set("plan", lines[:2])
        listed = [
            {"sweep_id": planned["sweep_id"], "number": number, "name": one["name"]}
            for number, one in enumerate(planned["members"])
        ]
        return [] if planned["params"]["dry_run"] else listed

    # Workers without lake, ledger and vendor keys take this queue only: ADR 0009.
    @task(
        map_index_template="{{ task.op_kwargs['name'] }}",
        pool="backtests",
        queue="members",
        max_active_tis_per_dagrun=16,
    )
    def member(sweep_id: str, number: int, name: str) -> None:
        """``python -m majors_alts_monitor.run`` with the configuration that ``name`` says."""
        from majors_alts_monitor.backfill import run_planned

        print(f"{name} of sweep {sweep_id}")  # noqa: T201
        run_planned(sweep_id, number)

    @task
    def collect(members: list[dict]) -> None:
        """Compare the members, publish the sweep, mail it."""
        from majors_alts_monitor.backfill import collect_backfill

        if members:
            published = collect_backfill(members[0]["sweep_id"])
            get_current_context()["task_state_store"].set("published", published)

    planned = plan()
    member.expand_kwargs(planned) >> collect(planned)
