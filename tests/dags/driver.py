"""Run one DAG after the other with ``dag.test()``, in a process that imported Airflow once.

Every line of stdin is a request, every line of stdout its answer; logs go to stderr. The arguments
are the tickers of the small market: nothing is asked for the rest of the asset map. Nobody waits
for a retry.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from lake_ingest import fetch


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    fetch.fetch_days = functools.partial(fetch.fetch_days, symbols=sys.argv[1:])
    from airflow.dag_processing.dagbag import DagBag

    for line in sys.stdin:
        request = json.loads(line)
        arguments = {"run_conf": request["conf"]}
        if request["logical_date"]:
            arguments["logical_date"] = datetime.fromisoformat(request["logical_date"])
        with mock.patch.dict(os.environ, request["settings"]):
            # Parsed anew: a DAG that was tested keeps the params of its last run.
            bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
            dag = bag.dags[request["dag_id"]]
            for task in dag.tasks:
                task.retry_delay = timedelta(0)
            run = dag.test(**arguments)
        answers.write(json.dumps(described(run)) + "\n")


def described(run: Any) -> dict[str, Any]:
    """Return what a person would see of a run in Airflow."""
    from airflow.models.task_state_store import TaskStateStoreModel
    from airflow.utils.session import create_session

    instances = sorted(run.get_task_instances(), key=lambda ti: (ti.task_id, ti.map_index))
    with create_session() as session:
        notes = session.query(TaskStateStoreModel).filter_by(run_id=run.run_id).all()
        said = {note.key: json.loads(note.value) for note in notes}
    return {
        "state": str(run.state),
        "tasks": [[ti.task_id, ti.map_index, str(ti.state)] for ti in instances],
        "names": [ti.rendered_map_index for ti in instances if ti.map_index >= 0],
        "notes": said,
    }


if __name__ == "__main__":
    main()
