"""What Airflow's Celery workers do beyond Airflow's own configuration of Celery.

A worker starts a task by forking, so what it has imported when it starts is there in every task.
Without this each task of ours reads pandas, DuckDB, numba and the package from disk again: more
than a second of a core, as long as a short member of a sweep computes. Named by
``AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS``; where it is not, tasks run the same and start later.
"""

from __future__ import annotations

from typing import Any, Final

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG

IMPORTED_ONCE: Final = ("majors_alts_monitor.backfill", "s3fs")
"""By the workers alone: Celery imports them when a worker starts, not where a task is sent."""

OPTIONS: Final[dict[str, Any]] = {**DEFAULT_CELERY_CONFIG, "imports": IMPORTED_ONCE}
