"""Run one DAG after the other with ``dag.test()``, in a process that imported Airflow once.

Every line of stdin is a request, every line of stdout its answer; logs go to stderr. The arguments
are the tickers of the small market: nothing is asked for the rest of the asset map.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from datetime import datetime
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
            run = bag.dags[request["dag_id"]].test(**arguments)
        tasks = [[ti.task_id, ti.map_index, str(ti.state)] for ti in run.get_task_instances()]
        answers.write(json.dumps({"state": str(run.state), "tasks": tasks}) + "\n")


if __name__ == "__main__":
    main()
