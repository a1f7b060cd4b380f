"""Fixtures that several folders of tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

REAL_LAKE = Path(__file__).resolve().parents[2] / "shared" / "data" / "real_lake"


@pytest.fixture(scope="session")
def real_lake() -> Path:
    """Return the folder of real market data beside the checkout, or skip."""
    if not REAL_LAKE.is_dir():
        pytest.skip("../shared/data/real_lake is absent")
    return REAL_LAKE
