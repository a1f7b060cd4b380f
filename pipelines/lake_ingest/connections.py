"""Vendors' keys and addresses from Airflow's connections, where a team keeps them there.

A connection named ``coinglass`` or ``coingecko`` gives the key as its password, and these,
``binance`` and ``binance_archive`` an address as their host. What a connection says replaces the
variable of `.env.example`, for this task's process alone; Airflow masks the password in its logs.
A vendor that takes a key has its address from the connection only together with the key, so that
who may edit connections cannot send the key of the environment elsewhere.
"""

from __future__ import annotations

import os
from typing import Any, Final

CONNECTIONS: Final = {
    "coinglass": ("COINGLASS_API_KEY", "COINGLASS_BASE_URL"),
    "coingecko": ("COINGECKO_API_KEY", "COINGECKO_BASE_URL"),
    "binance": (None, "BINANCE_BASE_URL"),
    "binance_archive": (None, "BINANCE_ARCHIVE_URL"),
}
"""Connection to the variables of its password and of its host."""


def use_connections() -> None:
    """Set the variables that a connection gives; called in a task, before it fetches."""
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    for name, (key, address) in CONNECTIONS.items():
        try:
            found = Connection.get(name)
        except AirflowNotFoundException:
            continue
        if key and found.password:
            os.environ[key] = found.password
        if found.host and (found.password or not key):
            os.environ[address] = address_of(found)


def address_of(connection: Any) -> str:
    """Return the address that a connection's scheme, host, port and path make.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> address_of(SimpleNamespace(host="api.example", schema=None, port=None))
    'https://api.example'
    >>> address_of(SimpleNamespace(host="127.0.0.1", schema="http", port=8100))
    'http://127.0.0.1:8100'
    >>> address_of(SimpleNamespace(host="https://api.example/v4/", schema=None, port=None))
    'https://api.example/v4'
    """
    host = connection.host.rstrip("/")
    if "://" in host:
        return str(host)
    port = f":{connection.port}" if connection.port else ""
    return f"{connection.schema or 'https'}://{host}{port}"
