"""Which incoming rows become versions, and when each was known."""

from datetime import UTC, date, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_ingest.seal import ASKED, Snapshot, seal
from lake_ingest.staging import ASKED_SCHEMA, open_store, stage_frame
from lake_ingest.versions import mark, new_versions, restatements, settle
from pipeline_kit.calendar import first_row_to_read
from pipeline_kit.contract import TABLES

NOBODY = pd.DataFrame({"row_id": []}, dtype="int64")


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(f"2024-01-{text}")


def row(
    value: float,
    *,
    day: str = "01",
    fetched: str = "02 00:50",
    asset: str = "SOL",
    source: str = "binance",
    **more: object,
) -> dict[str, object]:
    return {
        "asset_id": asset,
        "date": at(day),
        "close": value,
        "source": source,
        "fetched_at": at(fetched),
        **more,
    }


class Lake:
    """A table that takes one batch after the other, as commits would."""

    def __init__(self, folder, table="fact_price", asked=()):
        self.folder, self.table = folder, TABLES[table]
        self.added, self.restated = [], pd.DataFrame()
        record = {ASKED: pa.Table.from_pylist(list(asked), ASKED_SCHEMA)}
        self.snapshot = self._seal(Snapshot(), {}, record)

    def take(self, *rows: dict[str, object]) -> dict[str, int]:
        with open_store(self.folder, self.snapshot) as con:
            stage_frame(con, self.table, pd.DataFrame(list(rows)))
            mark(con, self.table)
            counts = settle(con, self.table, NOBODY)
            added = new_versions(con, self.table)
            self.added, self.restated = added.to_pylist(), restatements(con, self.table)
        self.snapshot = self._seal(self.snapshot, {self.table.name: added}, {})
        return counts

    def versions(self) -> list[dict[str, object]]:
        files = self.snapshot.files(self.folder, self.table.name)
        return pa.concat_tables([pq.read_table(file) for file in files]).to_pylist()

    def _seal(self, snapshot, appended, replaced):
        return seal(
            self.folder,
            snapshot,
            appended=appended,
            replaced=replaced,
            sealed_at=datetime(2024, 2, 1, tzinfo=UTC),
            is_synthetic=False,
        )


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path)


def known(row: dict[str, object]) -> tuple[str, object]:
    return str(row["known_at"]), row["known_basis"]


def test_a_key_fetched_before_its_row_is_final_is_observed(lake):
    lake.take(row(10, fetched="02 23:59:59"))

    assert known(lake.added[0]) == ("2024-01-02 23:59:59", "observed")


@pytest.mark.parametrize("fetched", ["02 00:31", "02 23:59", "03 00:00", "03 00:50", "03 23:00"])
def test_a_first_fetch_at_any_hour_leaves_no_hole_in_the_rows_of_its_days(lake, fetched):
    """A hole would leave every 60-day window without a value, and so the book without a score."""
    days = [date(2023, 12, 31), date(2024, 1, 1)]
    lake.take(*(row(10, fetched=fetched) | {"date": pd.Timestamp(day)} for day in days))

    first_rows = [
        first_row_to_read(r["date"], r["known_at"].replace(tzinfo=UTC)) for r in lake.added
    ]
    assert first_rows == days


def test_a_key_first_fetched_later_is_assumed_at_day_end_plus_lag(lake):
    lake.take(
        row(10, fetched="03 00:00"),
        row(10, fetched="09", asset="OLD", source="coingecko"),
    )

    assert [known(r) for r in lake.added] == [
        ("2024-01-02 00:45:00", "assumed"),
        ("2024-01-02 00:30:00", "assumed"),
    ]


@pytest.mark.parametrize(
    ("asked_at", "source", "first", "expected"),
    [
        ("02 00:50", "binance", 1, ("2024-01-05 00:50:00", "observed")),
        # Asked before the day had ended: no answer was due yet.
        ("01 23:00", "binance", 1, ("2024-01-02 00:30:00", "assumed")),
        # Another source, and another day, was asked for.
        ("02 00:50", "coinglass", 1, ("2024-01-02 00:30:00", "assumed")),
        ("03 00:50", "binance", 2, ("2024-01-02 00:30:00", "assumed")),
    ],
)
def test_a_key_that_an_earlier_fetch_did_not_get_is_observed(
    tmp_path, asked_at, source, first, expected
):
    asked = {
        "table_name": "fact_price",
        "source": source,
        "asset_id": "SOL",
        "first_day": date(2024, 1, first),
        "last_day": date(2024, 1, 2),
        "asked_at": at(asked_at).to_pydatetime(),
    }
    lake = Lake(tmp_path, asked=[asked])

    lake.take(row(10, fetched="05 00:50"))

    assert known(lake.added[0]) == expected


def test_the_same_value_again_adds_nothing(lake):
    lake.take(row(10.1))

    assert lake.take(row(10.1, fetched="03 00:50"), row(10.1, fetched="04 00:50")) == {
        "outranked": 1,
        "unchanged": 1,
    }
    assert lake.added == []


def test_a_changed_value_is_observed_when_it_was_fetched(lake):
    lake.take(row(10.1))

    counts = lake.take(row(10.2, fetched="09 00:50"))

    assert counts == {"revised": 1}
    assert known(lake.added[0]) == ("2024-01-09 00:50:00", "observed")
    assert lake.restated["rows"].tolist() == [1]
    assert lake.restated["largest_change"].iloc[0] == pytest.approx(0.1 / 10.1)


def test_the_last_bit_counts(lake):
    lake.take(row(0.1 + 0.2))

    assert lake.take(row(0.3, fetched="03 00:50")) == {"revised": 1}
    assert lake.take(row(0.3, fetched="04 00:50")) == {"unchanged": 1}


def test_a_value_that_comes_back_is_a_version_of_its_own(lake):
    lake.take(row(10))
    lake.take(row(11, fetched="03 00:50"))

    assert lake.take(row(10, fetched="04 00:50")) == {"revised": 1}


def test_a_revision_under_a_frozen_clock_is_still_newer(lake):
    lake.take(row(10))
    lake.take(row(11))

    assert known(lake.added[0]) == ("2024-01-02 00:50:00.000001", "observed")


def test_the_better_source_wins_whatever_the_order(lake):
    rows = [
        row(3, source="coingecko"),
        row(1, source="binance"),
        row(2, source="coinglass"),
        row(9, source="somewhere"),
    ]

    counts = lake.take(*rows)

    assert counts == {"new": 1, "outranked": 3}
    assert lake.added[0]["close"] == 1


def test_a_worse_source_never_supersedes_a_better_one(lake):
    lake.take(row(1))

    assert lake.take(row(2, source="coingecko", fetched="03 00:50")) == {"outranked": 1}


def test_a_better_source_that_arrives_later_is_a_new_version(lake):
    lake.take(row(2, source="coingecko"))

    assert lake.take(row(1, fetched="05 00:50")) == {"revised": 1}
    assert (lake.added[0]["source"], *known(lake.added[0])) == (
        "binance",
        "2024-01-05 00:50:00",
        "observed",
    )


def test_price_falls_back_to_another_source_on_days_the_best_has_none(lake):
    lake.take(row(1, day="01"))

    assert lake.take(row(2, day="02", source="coingecko", fetched="03 00:50")) == {"new": 1}


def oi(value: float, **more: object) -> dict[str, object]:
    return row(value, **more) | {"open_interest_usd": value}


def test_open_interest_of_an_asset_has_one_origin(tmp_path):
    lake = Lake(tmp_path, "fact_open_interest")

    counts = lake.take(
        oi(1, source="coinglass", day="01"),
        oi(5, source="binance", day="02", fetched="03 00:50"),
        oi(7, source="binance", asset="ADA", day="02", fetched="03 00:50"),
    )
    assert counts == {"new": 2, "outranked": 1}

    assert lake.take(oi(5, source="binance", day="03", fetched="04 00:50")) == {"outranked": 1}


def settlement(rate: float, hour: int, fetched: str, **more: object) -> dict[str, object]:
    return {
        "asset_id": "SOL",
        "settled_at": at("01") + pd.Timedelta(hours=hour),
        "funding_rate": rate,
        "interval_hours": 8.0,
        "source": "binance",
        "fetched_at": at(fetched),
        **more,
    }


def test_the_settlement_at_midnight_belongs_to_the_day_it_closes(tmp_path):
    lake = Lake(tmp_path, "fact_funding_settlement")

    lake.take(settlement(1e-4, 8, "20"), settlement(1e-4, 24, "20"), settlement(1e-4, 25, "20"))

    assert [str(r["known_at"]) for r in lake.added] == [
        "2024-01-02 00:30:00",
        "2024-01-02 00:30:00",
        "2024-01-03 00:30:00",
    ]


def test_a_measure_that_is_left_out_says_nothing(tmp_path):
    lake = Lake(tmp_path, "fact_funding_settlement")
    lake.take(settlement(1e-4, 8, "01 09:00", mark_price=100.0))

    assert lake.take(settlement(1e-4, 8, "20")) == {"unchanged": 1}
    assert lake.take(settlement(2e-4, 8, "21")) == {"revised": 1}
    assert lake.added[0]["mark_price"] == 100.0


def test_rows_with_knowledge_of_their_own_keep_it(lake):
    first = row(10, given_at=at("02 00:30"), given_basis="assumed", source="theirs")
    later = row(11, given_at=at("05 00:50"), given_basis="observed", source="theirs")
    back = row(10, given_at=at("06 00:50"), given_basis="observed", source="theirs")

    assert lake.take(first, later, back) == {"new": 3}
    assert lake.take(first, later, back) == {"unchanged": 3}
    assert [r["close"] for r in lake.versions()] == [10, 11, 10]


def test_of_another_lake_only_what_is_newer_or_differs_is_taken(lake):
    lake.take(row(10, given_at=at("04"), given_basis="observed", source="theirs"))

    counts = lake.take(
        row(9, given_at=at("03"), given_basis="observed", source="theirs"),
        row(11, given_at=at("05"), given_basis="observed", source="theirs"),
    )
    assert counts == {"later": 1, "older": 1}

    # Back-filled knowledge that differs is learnt now, it does not rewrite what was known.
    assert lake.take(
        row(12, given_at=at("02 00:30"), given_basis="assumed", source="theirs", fetched="09")
    ) == {"revised": 1}
    assert known(lake.added[0]) == ("2024-01-09 00:00:00", "observed")


def test_the_order_of_rows_does_not_matter(tmp_path):
    rows = [
        row(value, day=f"{day:02}", source=source, fetched=f"{day + 1:02} 01:00")
        for day in range(1, 9)
        for value, source in ((day, "binance"), (day + 0.01, "coingecko"))
    ]
    forward, backward = Lake(tmp_path), Lake(tmp_path)

    forward.take(*rows)
    backward.take(*rows[::-1])

    assert forward.versions() == backward.versions()
