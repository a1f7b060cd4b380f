"""The vintage gap: which values count as late, and the arithmetic of the table."""

from datetime import date

import duckdb
import pandas as pd
import pytest

from majors_alts_monitor.vintage import Late, late_values, vintage_gap

VERSIONS = """
    create table warehouse.intermediate.int_fact_versions as
    select * from (values
        -- revised before the row of its day was final: every row reads the newest
        (date '2024-01-01', timestamp '2024-01-02 01:00', timestamp '2024-01-02 23:59', true),
        (date '2024-01-01', timestamp '2024-01-02 23:59', null, false),
        -- revised as the row became final: its own row reads what was known before
        (date '2024-01-02', timestamp '2024-01-03 01:00', timestamp '2024-01-04 00:00', true),
        (date '2024-01-02', timestamp '2024-01-04 00:00', null, false),
        -- learnt too late for its own row, and then revised twice more: one value of today
        (date '2024-01-03', timestamp '2024-01-09 00:00', timestamp '2024-01-10 00:00', true),
        (date '2024-01-03', timestamp '2024-01-10 00:00', timestamp '2024-01-11 00:00', false),
        (date '2024-01-03', timestamp '2024-01-11 00:00', null, false),
        -- learnt too late, and never changed
        (date '2024-01-04', timestamp '2024-01-06 00:00', null, true),
        (date '2024-01-05', timestamp '2024-01-07 00:00', null, true)
    ) as versions(date, known_from, known_to, is_first_version)
"""


@pytest.fixture
def built(tmp_path):
    """A warehouse of versions and nothing else."""
    file = tmp_path / "built.duckdb"
    with duckdb.connect() as connection:
        connection.execute(f"attach '{file}' as warehouse; create schema warehouse.intermediate")
        connection.execute(VERSIONS)
    return file


def test_a_value_is_late_when_its_newest_version_came_after_its_own_row_was_final(built):
    assert late_values(built, date(2024, 1, 5)) == Late(n_revised=2, n_missed=2)


def test_values_after_the_range_make_no_gap_in_it(built):
    assert late_values(built, date(2024, 1, 3)) == Late(n_revised=2, n_missed=0)
    assert not late_values(built, date(2024, 1, 1))


def test_the_difference_is_latest_minus_pit():
    # A year of +0.1 % a day against one of +0.2 %, every second day -1 %.
    pit = pd.Series([0.001, -0.01] * 182)
    latest = pd.Series([0.002, -0.01] * 182)

    table = vintage_gap(pit, latest, Late(4, 0)).set_index("vintage")

    gap = table.loc["latest"] - table.loc["pit"]
    assert list(table.index) == ["pit", "latest", "difference"]
    for figure in ("sharpe", "cagr", "max_drawdown"):
        assert table.loc["difference", figure] == gap[figure]
        assert table.loc["difference", figure] > 0
    # 182 pairs in 364 days: (1.001 x 0.99) ** (182 x 365 / 364) - 1 = 0.99099 ** 182.5 - 1
    assert table.loc["pit", "cagr"] == pytest.approx(0.99099**182.5 - 1, rel=1e-12)
    assert set(table["n_revised"]) == {4}
