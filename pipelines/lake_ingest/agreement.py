"""Hold back rows on which vendors disagree, and levels that jump without a reason.

The bounds are ``datasets.yaml``; the rules are the last part of docs/sources.md. Only rows that
would be stored are judged; what is stored already has a vote. Imported lakes are not compared:
they are one source, and their jumps are what they say they are.
"""

from __future__ import annotations

import duckdb
import pandas as pd
import pyarrow as pa

from lake_ingest.datasets import Agreement, Dataset, load_contracts
from lake_ingest.versions import STORED_VERDICTS
from pipeline_kit.contract import TABLES, Table

CHECK_SCHEMA = pa.schema(
    [
        ("table", pa.string()),
        ("asset_id", pa.string()),
        ("at", pa.timestamp("us")),
        ("value", pa.float64()),
        ("source", pa.string()),
    ]
)
_FRESH = "verdict in (" + ", ".join(f"'{verdict}'" for verdict in STORED_VERDICTS) + ")"
_COLUMNS = ["table", "row_id", "reason"]


def register_checks(con: duckdb.DuckDBPyConnection, checks: pd.DataFrame | None) -> None:
    """Make the rows that are compared and never stored available as ``checks``."""
    if checks is None or checks.empty:
        rows = CHECK_SCHEMA.empty_table()
    else:
        at = pd.to_datetime(checks["at"], utc=True).dt.tz_localize(None)
        rows = pa.Table.from_pandas(
            checks.assign(at=at)[CHECK_SCHEMA.names], CHECK_SCHEMA, preserve_index=False
        )
    con.register("checks", rows)


def disagreements(con: duckdb.DuckDBPyConnection, staged: list[str]) -> pd.DataFrame:
    """Return the marked rows to hold back: columns table, row_id, reason.

    Parameters
    ----------
    con : DuckDBPyConnection
        With ``marked_T`` of every staged fact and ``checks``.
    staged : list of str
        Names of the facts that came in.
    """
    held: list[pd.DataFrame] = []
    if "fact_price" in staged:
        held += _price_outliers(con, staged)
    if "fact_funding_settlement" in staged:
        held.append(_funding_disagreements(con))
    for name in staged:
        dataset = load_contracts().datasets[name]
        held.append(_restated(con, TABLES[name], dataset))
        if dataset.is_rate:
            held.append(_unit_changes(con, TABLES[name]))
        elif name != "fact_price":
            held.append(_factor_apart(con, TABLES[name]))
        if dataset.level_factor:
            held.append(_level_jumps(con, TABLES[name], dataset.level_factor))
    empty = pd.DataFrame({"table": [], "row_id": [], "reason": []})
    found = pd.concat([frame for frame in held if len(frame)] or [empty])
    return found.drop_duplicates(["table", "row_id"])[_COLUMNS].reset_index(drop=True)


def funding_alarm(con: duckdb.DuckDBPyConnection) -> str:
    """Return one line when a vendor's settled rates differ from the stored ones, else nothing."""
    bound = load_contracts().agreement.funding
    found = con.execute(
        """
        select count(*) filter (abs(c.value - n.funding_rate) > $bound), count(*),
            max(abs(c.value - n.funding_rate)),
            arg_max(c.asset_id, abs(c.value - n.funding_rate))
        from checks as c
        join newest_fact_funding_settlement as n
            on n.asset_id = c.asset_id and n.settled_at = c."at" and n.source <> c.source
        where c."table" = 'fact_funding_settlement'
        """,
        {"bound": bound},
    ).fetchone()
    if found is None or not found[0]:
        return ""
    return (
        f"fact_funding_settlement: {found[0]} of {found[1]} stored rates differ from another"
        f" vendor's by more than {bound:g}, at most {found[2]:.2g} ({found[3]})"
    )


def _held(con: duckdb.DuckDBPyConnection, table: str, reason: str, query: str) -> pd.DataFrame:
    """Return the query's ``row_id`` with table and reason."""
    rows = con.execute(query).df()[["row_id"]]
    return rows.assign(table=table, reason=reason)


def _price_outliers(con: duckdb.DuckDBPyConnection, staged: list[str]) -> list[pd.DataFrame]:
    """Return prices far from the median of the sources, and what came with them."""
    bound = load_contracts().agreement.price
    con.execute(
        f"""
        create temp table price_outliers as
        with votes as (
            select row_id, asset_id, date, source, close, {_FRESH} as is_fresh, fetched_at
            from marked_fact_price
            union all
            select null, asset_id, date, source, close, false, known_at from newest_fact_price
            semi join (select asset_id, date from marked_fact_price where {_FRESH})
                using (asset_id, date)
            union all
            select null, asset_id, cast("at" as date), source, value, false, "at"
            from checks where "table" = 'fact_price'
        ),
        one_each as (
            select * from votes where close > 0 and isfinite(close)
            qualify row_number() over (
                partition by asset_id, date, source order by is_fresh desc, fetched_at desc, close
            ) = 1
        ),
        measured as (
            select *, median(close) over same_day as middle, count(*) over same_day as votes
            from one_each window same_day as (partition by asset_id, date)
        )
        select row_id, asset_id, date, source from measured
        where votes > 1 and is_fresh and abs(close / middle - 1) > {bound}
        """  # noqa: S608
    )
    reason = f"price further than {bound:.0%} from the median of the sources"
    held = [_held(con, "fact_price", reason, "select row_id from price_outliers")]
    for name in ("fact_marketcap", "fact_volume", "fact_perp_volume"):
        if name in staged:
            query = (
                f"select row_id from marked_{name} semi join price_outliers"  # noqa: S608
                f" using (asset_id, date, source) where {_FRESH}"
            )
            held.append(_held(con, name, f"{reason}, of the same source", query))
    return held


def _funding_disagreements(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Return settled rates that another vendor states differently.

    A vendor's newest closed bar may still be revised, and would block BTC about twice a month;
    within that time only another unit counts. The next fetch compares again, and warns.
    """
    bounds = load_contracts().agreement
    query = f"""
        with others as (
            select asset_id, settled_at, funding_rate, source from marked_fact_funding_settlement
            union all
            select asset_id, "at", value, source from checks
            where "table" = 'fact_funding_settlement'
        )
        select distinct m.row_id from marked_fact_funding_settlement as m
        join others as o using (asset_id, settled_at)
        where {_FRESH} and o.source <> m.source
            and abs(o.funding_rate - m.funding_rate) > {bounds.funding}
            and (
                m.settled_at <= m.fetched_at - to_hours({bounds.funding_settled_hours})
                or greatest(abs(o.funding_rate), abs(m.funding_rate))
                    > {bounds.unit_factor} * least(abs(o.funding_rate), abs(m.funding_rate))
            )
    """  # noqa: S608
    reason = f"settled rates of two vendors differ by more than {bounds.funding:g}"
    return _held(con, "fact_funding_settlement", reason, query)


def _factor_apart(con: duckdb.DuckDBPyConnection, table: Table) -> pd.DataFrame:
    """Return values whose ratio to another source's left its past: one of them changed its unit.

    The ratio itself says nothing: one venue may hold a twentieth of all open interest.
    """
    bounds = load_contracts().agreement
    value, name = table.value, table.name
    query = f"""
        with others as (
            select asset_id, date, source, {value} as other from marked_{name}
            union
            select asset_id, date, source, {value} from newest_{name}
        ),
        ratios as (
            select m.row_id, m.asset_id, m.date, m.source, o.source as other_source,
                {_FRESH} as is_fresh, m.{value} / o.other as ratio
            from marked_{name} as m join others as o using (asset_id, date)
            where o.source <> m.source and m.{value} > 0 and o.other > 0
        ),
        compared as (
            select *, median(ratio) over past as usual, count(*) over past as days
            from ratios
            window past as (
                partition by asset_id, source, other_source order by date
                {_past(bounds)}
            )
        )
        select distinct row_id from compared
        where is_fresh and days >= {bounds.level_min_days}
            and greatest(ratio / usual, usual / ratio) > {bounds.unit_factor}
    """  # noqa: S608
    reason = f"two sources moved apart by a factor above {bounds.unit_factor:g}"
    return _held(con, name, reason, query)


def _restated(con: duckdb.DuckDBPyConnection, table: Table, dataset: Dataset) -> pd.DataFrame:
    """Return values that replace a stored one of the same source by a factor.

    A history that is stated anew as a whole leaves no past that it could jump from. Of two rates
    near zero a factor says nothing.
    """
    bounds = load_contracts().agreement
    factor = dataset.level_factor or bounds.unit_factor
    new, old = f"abs(m.{table.value})", f"abs(o.{table.value})"
    least = bounds.unit_least_rate if dataset.is_rate else 0
    query = f"""
        select m.row_id from marked_{table.name} as m
        join newest_{table.name} as o using ({", ".join(table.key)}, source)
        where {_FRESH} and greatest({new}, {old}) > {least}
            and greatest({new}, {old}) > {factor} * least({new}, {old})
    """  # noqa: S608
    return _held(con, table.name, f"a stored value is restated by a factor above {factor:g}", query)


def _unit_changes(con: duckdb.DuckDBPyConnection, table: Table) -> pd.DataFrame:
    """Return the days on which a source's rates, over all assets, left their own past.

    One asset's rate may jump a hundredfold; the median over many does not, unless the vendor
    has changed its unit.
    """
    bounds = load_contracts().agreement
    value, name = table.value, table.name
    query = f"""
        with daily as (
            select asset_id, source, day, avg(abs({value})) as size, max(cast({_FRESH} as int))
                as is_fresh
            from marked_{name} where {value} <> 0 and isfinite({value}) group by all
            union all
            select asset_id, source, {_day(table)} as day, avg(abs({value})), 0
            from newest_{name} where {value} <> 0 group by all
        ),
        compared as (
            select *, median(size) over past as usual, count(*) over past as days
            from daily
            window past as (
                partition by asset_id, source order by day
                {_past(bounds)}
            )
        ),
        changed as (
            select source, day from compared where is_fresh = 1 and days >= {bounds.level_min_days}
            group by source, day
            having count(*) >= {bounds.unit_min_values}
                and greatest(median(size / usual), 1 / median(size / usual)) > {bounds.unit_factor}
        )
        select row_id from marked_{name} semi join changed using (source, day) where {_FRESH}
    """  # noqa: S608
    reason = f"the source's unit changed by a factor above {bounds.unit_factor:g}"
    return _held(con, name, reason, query)


def _level_jumps(con: duckdb.DuckDBPyConnection, table: Table, factor: float) -> pd.DataFrame:
    """Return levels that left their 15-day median by a factor that the price does not explain."""
    bounds = load_contracts().agreement
    value, name = table.value, table.name
    has_price = con.execute(
        "select count(*) from information_schema.tables where table_name = 'marked_fact_price'"
    ).fetchone()
    prices = "select asset_id, date, close from newest_fact_price"
    if has_price and has_price[0]:
        prices = (
            f"select asset_id, date, close from marked_fact_price where {_FRESH}"  # noqa: S608
            f" union all {prices} where (asset_id, date) not in"
            f" (select (asset_id, date) from marked_fact_price where {_FRESH})"
        )
    query = f"""
        with everything as (
            select row_id, asset_id, date, source, {value} as level, {_FRESH} as is_fresh
            from marked_{name} where {value} > 0 and verdict <> 'outranked'
            union all
            select null, asset_id, date, source, {value}, false from newest_{name}
            anti join marked_{name} using (asset_id, date, source)
        ),
        levels as (
            select * from everything
            semi join (select asset_id from marked_{name} where {_FRESH}) using (asset_id)
        ),
        prices as (select asset_id, date, max(close) as close from ({prices}) group by all),
        priced as (select * from levels left join prices using (asset_id, date)),
        compared as (
            select *, median(level) over past as usual, median(close) over past as usual_close,
                count(*) over past as days
            from priced
            window past as (
                partition by asset_id, source order by date
                {_past(bounds)}
            )
        ),
        ratios as (
            select *, level / usual as change, coalesce(close / usual_close, 1) as price_change
            from compared where days >= {bounds.level_min_days} and usual > 0
        )
        select row_id from ratios
        where is_fresh and greatest(change, 1 / change) > {factor}
            and greatest(change / price_change, price_change / change) > {factor}
    """  # noqa: S608
    reason = f"level changed by a factor above {factor:g} that the price does not explain"
    return _held(con, name, reason, query)


def _day(table: Table) -> str:
    if "settled_at" in table.key:
        return "cast(settled_at - interval 1 microsecond as date)"
    return "date"


def _past(bounds: Agreement) -> str:
    """Return the window frame of the days before, the day itself left out."""
    return f"range between interval {bounds.level_days} days preceding and interval 1 day preceding"
