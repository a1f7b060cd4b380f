"""Change the future of a lake, run the chain again, and look for a past that changed with it.

Flow: ``truncated, poisoned -> Replay.build -> mart_leaks``; ``causality_path`` goes on from there.
And ``fact_leaks`` for what changing the future cannot show: a wrong day, a wrong unit, an invented
price. contract.md section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

from majors_alts_monitor.features import OWN_MODELS
from pipeline_kit.model_replay import Replay

REACH_DAYS: Final = 45
"""How many days after the cut are poisoned; later rows are dropped."""

_LABELS: Final = {
    "fact_funding_settlement": (
        "cast(date_trunc('minute', settled_at + to_seconds(30)) - to_minutes(1) as date)"
    ),
}
_MEASURES: Final = {
    "fact_price": ("close",),
    "fact_marketcap": ("marketcap",),
    "fact_volume": ("volume",),
    "fact_funding": ("funding_rate",),
    "fact_funding_settlement": ("funding_rate", "mark_price"),
    "fact_open_interest": ("open_interest_usd",),
    "fact_perp_volume": ("volume",),
}
_DATED: Final = {
    "fct_asset_daily": ("date", "asset_id"),
    "fct_universe_daily": ("date", "asset_id"),
    "fct_funding_daily": ("date", "asset_id"),
    "fct_features_daily": ("date",),
    **dict.fromkeys(OWN_MODELS, ("date",)),
}
"""Marts with one row per day, and their keys."""
_VERSIONED: Final = {
    # What rows up to the cut read: a version that only later rows read is not there yet.
    "fct_close_versions": """
        select asset_id, date, read_from,
            case when read_to <= {cut} then read_to end as read_to, close_usd
        from {database}.marts.fct_close_versions
        where date <= {cut} and read_from <= {cut}
        qualify count(*) over (partition by asset_id, date) > 1 or read_from > date
            or (read_to is not null and read_to <= {cut})
    """,
    "fct_revisions": """
        select * from {database}.marts.fct_revisions where date <= {cut} and read_from <= {cut}
    """,
}
"""Marts of versions. fct_publication_lag and dim_assets have no day, hence no past."""


@dataclass(frozen=True, slots=True, order=True)
class Leak:
    """The first place where a table dated up to ``cut`` depends on what came later."""

    cut: str
    variant: str
    """truncated, poisoned, or the name of a check that needs no cut."""
    table: str
    day: str
    column: str
    key: str
    expected: str
    found: str

    def __str__(self) -> str:
        """Return the leak in one line."""
        where = f"{self.table}.{self.column} of {self.day}" + (f" ({self.key})" if self.key else "")
        return f"{where}, {self.variant} at {self.cut}: {self.expected} became {self.found}"


def truncated(cut: date) -> dict[str, str]:
    """Return the lake as it was when the row of ``cut`` became final; queries by table."""
    queries = {
        table: f"select * from origin.main.{table} where {_label(table)} <= {_sql(cut)} "  # noqa: S608
        f"and {_was_known(cut)}"
        for table in _MEASURES
    }
    return queries | {
        "dim_instrument": "select * replace "  # noqa: S608 (a date we formatted)
        f"(case when delisted_on <= {_sql(cut)} then delisted_on end as delisted_on) "
        f"from origin.main.dim_instrument where listed_on <= {_sql(cut)}"
    }


def poisoned(cut: date, rotation: int) -> dict[str, str]:
    """Return the lake with nonsense after ``cut``; queries by table.

    By a hash of its name, turned by ``rotation``, an asset's future becomes NaN, a thousand times
    too large, or that of another asset. Every listing and delisting to come happens at once.
    """
    queries = {table: _poisoned_fact(table, cut, rotation) for table in _MEASURES}
    soon = f"{_sql(cut)} + 1"
    return queries | {
        "dim_instrument": "select * replace "  # noqa: S608
        f"(least(listed_on, {soon}) as listed_on, least(delisted_on, {soon}) as delisted_on) "
        "from origin.main.dim_instrument"
    }


def _poisoned_fact(table: str, cut: date, rotation: int) -> str:
    label, day = _label(table), _sql(cut)
    how = f"(hash(asset_id) + {rotation}) % 3"
    spoilt = ", ".join(
        f"case {how} when 0 then cast('nan' as double) when 1 then {measure} * 1000 "
        f"else coalesce(lead({measure}) over (partition by {label}, {how} "
        f"order by hash(asset_id), {measure}), {measure} * 7) end as {measure}"
        for measure in _MEASURES[table]
    )
    return (
        f"select * from origin.main.{table} where {label} <= {day} and {_was_known(cut)} "  # noqa: S608
        f"union all select * replace ({spoilt}) from origin.main.{table} "
        f"where {label} > {day} and {label} <= {day} + {REACH_DAYS}"
    )


def _label(table: str) -> str:
    return _LABELS.get(table, "date")


def _was_known(cut: date) -> str:
    return f"(known_at is null or known_at < cast({_sql(cut)} + 2 as timestamp))"


def _sql(day: date) -> str:
    return f"date '{day:%Y-%m-%d}'"


# ------------------------------------------------------------------------------------------------
# Marts


class Reference:
    """The marts of the whole lake, attached to a replay, with one fingerprint a table and day."""

    def __init__(self, replay: Replay, alias: str = "reference") -> None:
        self._replay, self._alias = replay, alias
        self._columns = {table: _columns(replay.connection, alias, table) for table in _DATED}
        self._prints = {table: self._print(alias, table) for table in _DATED}

    def mart_leaks(self, cut: date | None, variant: str) -> list[Leak]:
        """Return the first difference of each mart between the reference and the last build.

        ``cut`` None compares every day.
        """
        return [
            *(leak for table in _DATED if (leak := self._dated_leak(table, cut, variant))),
            *(leak for table in _VERSIONED if (leak := self._versioned_leak(table, cut, variant))),
        ]

    def _dated_leak(self, table: str, cut: date | None, variant: str) -> Leak | None:
        if _columns(self._replay.connection, "warehouse", table) != self._columns[table]:
            return leak_at(cut, variant, table, "", "<columns>", "", "as declared", "other columns")
        expected, found = self._prints[table], self._print("warehouse", table)
        last = cut or max(expected.keys() | found.keys())
        days = sorted(
            day
            for day in expected.keys() | found.keys()
            if day <= last and expected.get(day) != found.get(day)
        )
        if not days:
            return None
        expected_rows, found_rows = (
            self._fetch(
                f"select * from {database}.marts.{table} where date = {_sql(days[0])}"  # noqa: S608
            )
            for database in (self._alias, "warehouse")
        )
        return first_difference(table, expected_rows, found_rows, _DATED[table], cut, variant)

    def _versioned_leak(self, table: str, cut: date | None, variant: str) -> Leak | None:
        limit = _sql(cut) if cut else "date '9999-12-31'"
        expected_rows, found_rows = (
            self._fetch(_VERSIONED[table].format(cut=limit, database=database))
            for database in (self._alias, "warehouse")
        )
        names = ("fact", "asset_id", "date", "settled_at", "read_from", "known_at")
        keys = tuple(name for name in names if name in expected_rows.columns)
        return first_difference(table, expected_rows, found_rows, keys, cut, variant)

    def _fetch(self, query: str) -> pd.DataFrame:
        return self._replay.connection.execute(query).fetch_df()

    def _print(self, database: str, table: str) -> dict[date, tuple[int, int]]:
        columns = ", ".join(self._columns[table])
        query = (
            f"select date, count(*), bit_xor(hash({columns})) "  # noqa: S608 (columns of a mart)
            f"from {database}.marts.{table} group by date"
        )
        rows = self._replay.connection.execute(query).fetchall()
        return {day: (count, bits) for day, count, bits in rows}


def _columns(connection: duckdb.DuckDBPyConnection, database: str, table: str) -> list[str]:
    rows = connection.execute(
        "select column_name from information_schema.columns "
        "where table_catalog = $1 and table_schema = 'marts' and table_name = $2 order by 1",
        [database, table],
    ).fetchall()
    return [row[0] for row in rows]


# ------------------------------------------------------------------------------------------------
# Tables


def first_difference(
    table: str,
    expected: pd.DataFrame,
    found: pd.DataFrame,
    keys: tuple[str, ...],
    cut: date | None,
    variant: str,
) -> Leak | None:
    """Return the earliest cell in which two tables of the same columns differ, or None.

    Nothing is rounded; two missing values are equal. Row order does not matter.

    Examples
    --------
    >>> a = pd.DataFrame({"date": pd.to_datetime(["2024-01-01", "2024-01-02"]), "x": [1.0, 2.0]})
    >>> str(first_difference("t", a, a.assign(x=[1.0, 5.0]), ("date",), date(2024, 1, 2), "v"))
    't.x of 2024-01-02, v at 2024-01-02: 2.0 became 5.0'
    """
    left, right = (
        frame.reset_index(drop=True).sort_values([*keys], ignore_index=True, kind="stable")
        for frame in (expected, found)
    )
    if len(left) != len(right) or not left[[*keys]].equals(
        right[[*keys]].astype(left[[*keys]].dtypes)
    ):
        return _other_rows(table, left, right, keys, cut, variant)
    differs = {name: _differs(left[name], right[name]) for name in left.columns if name not in keys}
    places = [(int(np.argmax(flags)), name) for name, flags in differs.items() if flags.any()]
    if not places:
        return None
    row, name = min(places)
    day, key = _place(left.iloc[row], keys)
    return leak_at(
        cut, variant, table, day, str(name), key, left[name].iloc[row], right[name].iloc[row]
    )


def _other_rows(
    table: str,
    left: pd.DataFrame,
    right: pd.DataFrame,
    keys: tuple[str, ...],
    cut: date | None,
    variant: str,
) -> Leak:
    merged = left[[*keys]].merge(right[[*keys]], on=[*keys], how="outer", indicator=True)
    odd = merged[merged["_merge"] != "both"].sort_values([*keys], kind="stable")
    if odd.empty:  # the same keys, some of them more than once
        return leak_at(cut, variant, table, "", "<rows>", "", len(left), len(right))
    first = odd.iloc[0]
    was_there = first["_merge"] == "left_only"
    said = ("a row", "no row") if was_there else ("no row", "a row")
    day, key = _place(first, keys)
    return leak_at(cut, variant, table, day, "<row>", key, *said)


def _place(row: pd.Series[Any], keys: tuple[str, ...]) -> tuple[str, str]:
    """Return the day and the rest of the key as text."""
    rest = [str(row[key]) for key in keys if key != "date"]
    return f"{pd.Timestamp(row['date']):%Y-%m-%d}", " ".join(rest)


def _differs(left: pd.Series[Any], right: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    is_missing = left.isna().to_numpy(), right.isna().to_numpy()
    both = ~is_missing[0] & ~is_missing[1]
    unequal = np.zeros(len(left), dtype=np.bool_)
    unequal[both] = left.to_numpy(dtype=object)[both] != right.to_numpy(dtype=object)[both]
    return np.asarray(unequal | (is_missing[0] != is_missing[1]))


def leak_at(
    cut: date | None,
    variant: str,
    table: str,
    day: str,
    column: str,
    key: str,
    expected: object,
    found: object,
) -> Leak:
    """Return a leak of values of any kind; ``cut`` None for a check that needs none."""
    at = str(cut) if cut else "no cut"
    return Leak(at, variant, table, day, column, key, str(expected), str(found))


# ------------------------------------------------------------------------------------------------
# What no change of the future can show

_FACT_CHECKS: Final = {
    # Only keys of a single version that their own row may read: no rule of vintages is needed.
    "invented price": """
        select d.date, d.asset_id, 'close_usd', 'no row in the lake', d.close_usd
        from warehouse.marts.fct_asset_daily d
        anti join origin.main.fact_price p on p.asset_id = d.asset_id and p.date = d.date
        where d.close_usd is not null
    """,
    "other price": """
        select d.date, d.asset_id, 'close_usd', p.close, d.close_usd
        from warehouse.marts.fct_asset_daily d
        inner join ({fact_price}) p on p.asset_id = d.asset_id and p.date = d.date
        where d.close_usd is distinct from p.close
    """,
    "market cap of another day": """
        select d.date, d.asset_id, 'previous_market_cap_usd', m.marketcap, d.previous_market_cap_usd
        from warehouse.marts.fct_asset_daily d
        inner join ({fact_marketcap}) m on m.asset_id = d.asset_id and m.date = d.date - 1
        where d.previous_market_cap_usd is distinct from m.marketcap
    """,
    "funding of another day or unit": """
        select f.date, f.asset_id, 'funding_rate_1d', 3 * f.funding_rate, d.funding_rate_1d
        from ({fact_funding}) f
        left join warehouse.marts.fct_funding_daily d
            on d.asset_id = f.asset_id and d.date = f.date
        where coalesce(d.basis, 'daily') = 'daily'
            and (d.funding_rate_1d is distinct from 3 * f.funding_rate
                or d.funding_rate_8h is distinct from f.funding_rate)
    """,
}
_SINGLE_VERSION: Final = """
    select asset_id, date, any_value({measure}) as {measure} from origin.main.{table}
    group by asset_id, date
    having count(*) = 1 and not isnan(any_value({measure}))
        and coalesce(any_value(known_at) < cast(date + 2 as timestamp), true)
"""


def fact_leaks(replay: Replay) -> list[Leak]:
    """Return the first mart cell per check that does not stand on the lake's row of its day.

    The last build must be that of the whole lake.
    """
    singles = {
        table: _SINGLE_VERSION.format(table=table, measure=measures[0])
        for table, measures in _MEASURES.items()
    }
    leaks = []
    for name, check in _FACT_CHECKS.items():
        query = f"select * from ({check.format(**singles)}) order by 1, 2 limit 1"  # noqa: S608
        for day, asset, column, expected, found in replay.connection.execute(query).fetchall():
            leaks.append(leak_at(None, name, "facts", str(day), column, asset, expected, found))
    return leaks
