#!/usr/bin/env bash
# Prepare an empty stack: tables, pools, one administrator, two roles' accounts by hand, the bucket.
set -euo pipefail

airflow db migrate
airflow fab-db migrate
airflow pools import /opt/mam/docker/pools.json
airflow sync-perm
# The password goes by environment, never by a command line that others can list.
python - <<'PYTHON'
import os

from airflow.providers.fab.www.app import create_app

app = create_app(enable_plugins=False)
with app.app_context():
    users = app.appbuilder.sm
    if not users.find_user("admin"):
        users.add_user(
            "admin", "Stack", "Administrator", "admin@example.org",
            users.find_role("Admin"), os.environ["MAM_AIRFLOW_ADMIN_PASSWORD"],
        )
PYTHON
python - <<'PYTHON'
import boto3

store = boto3.client("s3")
if "majors-alts" not in [bucket["Name"] for bucket in store.list_buckets()["Buckets"]]:
    store.create_bucket(Bucket="majors-alts")
PYTHON
