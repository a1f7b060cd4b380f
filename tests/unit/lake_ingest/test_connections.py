"""Which connection of Airflow replaces which variable."""

import json
import os

import pytest

from lake_ingest.connections import CONNECTIONS, use_connections

pytestmark = pytest.mark.airflow


@pytest.fixture
def define(monkeypatch, tmp_path):
    """Define connections by environment, as Airflow reads them first."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    for key, address in CONNECTIONS.values():
        for name in filter(None, (key, address)):
            # Set first, so that what the code sets is taken back at the end.
            monkeypatch.setenv(name, "of the environment")

    def define(**connections):
        for name, values in connections.items():
            text = json.dumps({"conn_type": "http", **values})
            monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", text)
        use_connections()

    return define


def test_a_connection_replaces_key_and_address_of_its_vendor_alone(define):
    define(
        coinglass={"password": "key", "host": "https://proxy.example/v4"},
        binance={"host": "127.0.0.1", "schema": "http", "port": 8100},
    )

    assert os.environ["COINGLASS_API_KEY"] == "key"
    assert os.environ["COINGLASS_BASE_URL"] == "https://proxy.example/v4"
    assert os.environ["BINANCE_BASE_URL"] == "http://127.0.0.1:8100"
    for name in ("COINGECKO_API_KEY", "COINGECKO_BASE_URL", "BINANCE_ARCHIVE_URL"):
        assert os.environ[name] == "of the environment"


def test_no_connection_sends_the_key_of_the_environment_elsewhere(define):
    define(coinglass={"host": "https://elsewhere.example"})

    assert os.environ["COINGLASS_API_KEY"] == "of the environment"
    assert os.environ["COINGLASS_BASE_URL"] == "of the environment"
