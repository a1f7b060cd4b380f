#!/usr/bin/env bash
# Prepare an empty stack: tables, pools, the accounts admin (Admin), operator (Op) and viewer (Viewer),
# the bucket, the folder of lineage events. An account that is there keeps its password.
set -euo pipefail

# The file transport of OpenLineage makes files, no folder.
mkdir --parents /data/lineage

airflow db migrate
airflow fab-db migrate
airflow pools import /opt/mam/docker/pools.json
airflow sync-perm
# Passwords go by environment, never by a command line that others can list.
python - <<'PYTHON'
import os

from airflow.providers.fab.www.app import create_app

app = create_app(enable_plugins=False)
with app.app_context():
    users = app.appbuilder.sm
    for name, role in {"admin": "Admin", "operator": "Op", "viewer": "Viewer"}.items():
        password = os.environ[f"MAM_AIRFLOW_{name.upper()}_PASSWORD"]
        if not users.find_user(name):
            address = f"{name}@example.org"
            users.add_user(name, name, role, address, users.find_role(role), password)
PYTHON
python - <<'PYTHON'
import boto3

store = boto3.client("s3")
if "majors-alts" not in [bucket["Name"] for bucket in store.list_buckets()["Buckets"]]:
    store.create_bucket(Bucket="majors-alts")
PYTHON
