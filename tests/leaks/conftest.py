"""The bench on which leaks are planted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from majors_alts_monitor.causality import Leak, Reference, fact_leaks, poisoned, truncated
from pipeline_kit import warehouse
from pipeline_kit.lake import find_tables
from pipeline_kit.model_replay import Model, Replay, read_models
from tests.fixtures.lakes import make_lake

START, N_DAYS = date(2023, 1, 1), 110
VARIABLES = {"zscore_days": 20, "min_mcap_usd": 0, "min_volume_usd": 0, "min_listing_days": 5}


@dataclass
class Bench:
    """One small lake with gaps, deaths and revisions, and the models compiled for it."""

    lake: Path
    models: tuple[Model, ...]
    replay: Replay
    folder: Path

    def plant(self, model: str, template: str) -> tuple[Model, ...]:
        """Return the models with the query of one put into a leaky one."""
        assert model in {m.name for m in self.models}
        return tuple(m.wrapped(template) if m.name == model else m for m in self.models)

    def leaks(self, models: tuple[Model, ...], cuts: tuple[int, ...] = (60, 85)) -> list[Leak]:
        """Return what the audit finds in these models, both variants at each cut."""
        whole = self.folder / "whole.duckdb"
        whole.unlink(missing_ok=True)
        self.replay.build(models, {})
        found = fact_leaks(self.replay)
        self.replay.export(whole)
        self.replay.attach(whole, "reference")
        try:
            reference = Reference(self.replay)
            for number, row in enumerate(cuts):
                cut = START + timedelta(days=row)
                self.replay.build(models, truncated(cut))
                found += reference.mart_leaks(cut, "truncated")
                self.replay.build(models, poisoned(cut, number))
                found += reference.mart_leaks(cut, "poisoned")
        finally:
            self.replay.detach("reference")
        return found


def small_lake(folder: Path, seed: int, n_days: int = N_DAYS) -> Path:
    """Return a lake with a little of every trouble."""
    return make_lake(
        folder,
        seed=seed,
        n_assets=8,
        n_days=n_days,
        start=START,
        gaps=0.06,
        deaths=1,
        late_listings=1,
        settlements=0.4,
        revisions=0.05,
        late_arrivals=0.03,
        kinds=True,
        perp_volume=True,
    )


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Model, ...]]:
    """Return the bench's lake and the models of one dbt build; they fit every lake."""
    folder = tmp_path_factory.mktemp("leaks")
    lake = small_lake(folder / "lake", seed=11)
    warehouse.build(
        find_tables(lake),
        VARIABLES,
        folder / "built.duckdb",
        with_tests=False,
        target_dir=folder / "dbt",
    )
    return lake, read_models(folder / "dbt")


@pytest.fixture
def bench(compiled: tuple[Path, tuple[Model, ...]], tmp_path: Path) -> Iterator[Bench]:
    """Return the bench with a replay of its lake."""
    lake, models = compiled
    with Replay(find_tables(lake)) as replay:
        yield Bench(lake, models, replay, tmp_path)
