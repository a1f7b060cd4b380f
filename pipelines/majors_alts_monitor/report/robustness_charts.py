"""Charts of how firm the result stands, and of how complete its data is.

Flow: ``robustness, days_to_exit, neighbours, placebo, features_wide -> charts``. A run without one
of the tables goes without its chart.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from majors_alts_monitor.outputs import RunTables
from majors_alts_monitor.report.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    Chart,
    Heat,
    Series,
)
from majors_alts_monitor.report.formatting import percent, variant_words
from majors_alts_monitor.types import PARTICIPATION

PARTS_SHOWN: Final = {
    "lag": (
        "Decided the same, traded later",
        "Days between decision and trade; 0 cannot be traded. An edge that lives on one day only "
        "is not one.",
    ),
    "costs": (
        "The same trades at other costs",
        "Fees, slippage and impact times. A result that ends at twice the costs is thin.",
    ),
}
MOST_EXITS: Final = 20
"""Names in the chart of days to exit: what a book holds."""


def robustness_charts(run: RunTables, *, has_book: bool) -> list[Chart | Heat | None]:
    """Return lag ladder, cost tiers, capacity, days to exit, neighbours and placebo.

    Without a book there is nothing to trade later or dearer; the gate can still be judged.
    """
    ladders = [ladder(run, part) for part in PARTS_SHOWN] if has_book else []
    sizes = [capacity_chart(run), exit_chart(run)] if has_book else []
    return [*ladders, *sizes, neighbour_heat(run), placebo_chart(run)]


def capacity_chart(run: RunTables) -> Chart | None:
    """Return the Sharpe ratio by size of the account, trades at once and held to the volume."""
    table = run.tables.get("robustness")
    if table is None or "part" not in table.columns:
        return None
    sizes = table.loc[table["part"] == "capacity", "variant"].tolist()
    series = []
    for part, name, color in (
        ("capacity", "at once", BLUE),
        ("capped", f"at most {PARTICIPATION:.0%} of volume a day", ORANGE),
    ):
        rows = table[table["part"] == part].set_index("variant").reindex(sizes)
        if rows["sharpe"].notna().any():
            low, high = rows["sharpe_low"].tolist(), rows["sharpe_high"].tolist()
            series.append(Series(name, rows["sharpe"].tolist(), color, low=low, high=high))
    if not series:
        return None
    return Chart(
        key="capacity",
        title="The same trades for larger accounts",
        x=[variant_words(str(name)) for name in sizes],
        series=series,
        y_title="Sharpe",
        levels={"": 0.0},
        note="Square-root market impact by size of the account. Held to the volume, what a day "
        "cannot take is traded on the next ones: dearer trades become late ones, and alts lag the "
        f"majors that hedge them.{_slowest_fill(table)} Bands: 95 % of Lo (2002).",
        is_dated=False,
    )


def _slowest_fill(table: pd.DataFrame) -> str:
    capped = table[table["part"] == "capped"]
    if capped.empty:
        return ""
    last = capped.iloc[-1]
    size = variant_words(str(last["variant"]))
    return f" For {size} the slowest trade takes {last['days_to_fill']:.0f} days."


def exit_chart(run: RunTables) -> Chart | None:
    """Return how many days the names slowest to leave take, largest and usual position."""
    table = run.tables.get("days_to_exit")
    if table is None or table["max_days_to_exit"].isna().all():
        return None
    rows = table.head(MOST_EXITS)
    account = variant_words(f"{run.manifest['config']['execution']['account_usd']:g} USD")
    n_unknown = int(table["max_days_to_exit"].isna().sum())
    unknown = f" Volume of {n_unknown} names is unknown." if n_unknown else ""
    return Chart(
        key="exits",
        title=f"Days to leave a name with {account}",
        x=rows["asset_id"].astype(str).tolist(),
        series=[
            Series("usual position", rows["median_days_to_exit"].tolist(), SKY, "bar"),
            Series("largest position", rows["max_days_to_exit"].tolist(), BLUE, "bar"),
        ],
        y_title="days",
        note=f"At {PARTICIPATION:.0%} of the name's volume; ten times the account takes ten times "
        f"as long. The slowest {len(rows)} of {len(table)} names.{unknown}",
        is_dated=False,
    )


def ladder(run: RunTables, part: str) -> Chart | None:
    """Return the Sharpe ratio of each variant of a part with its interval; the configured in blue.

    Null without the part, and where no variant has a Sharpe ratio.
    """
    table = run.tables.get("robustness")
    if table is None or "part" not in table.columns:
        return None
    rows = table[table["part"] == part]
    if rows.empty or rows["sharpe"].isna().all():
        return None
    title, note = PARTS_SHOWN[part]
    is_ours = rows["is_configured"].astype(bool)
    return Chart(
        key=part,
        title=title,
        x=[variant_words(str(name)) for name in rows["variant"]],
        series=[
            Series(
                name,
                rows["sharpe"].where(which).tolist(),
                color,
                "stacked",
                low=rows["sharpe_low"].where(which).tolist(),
                high=rows["sharpe_high"].where(which).tolist(),
            )
            for name, which, color in (
                ("as configured", is_ours, BLUE),
                ("changed", ~is_ours, SKY),
            )
            if which.any()
        ],
        y_title="Sharpe",
        levels={"": 0.0},
        note=f"{note} Whiskers: 95 % of Lo (2002).",
        is_dated=False,
    )


def neighbour_heat(run: RunTables) -> Heat | None:
    """Return the worth of gates next to the configured one."""
    table = run.tables.get("neighbours")
    if table is None or table.empty or table["value"].isna().all():
        return None
    wide = table.pivot_table(index="threshold_move", columns="min_regime_days", values="value")
    values = wide.to_numpy(dtype=np.float64)
    own = table[table["is_configured"].astype(bool)]
    here = percent(own["value"].iloc[0], signed=True) if len(own) else "n/a"
    return Heat(
        key="neighbours",
        title="The gate with thresholds and patience next to ours",
        x=[f"{days} days" for days in wide.columns],
        y=[f"{move:+.1f}" for move in wide.index],
        values=values.tolist(),
        limit=max(float(np.nanmax(np.abs(values))), 1e-9),
        is_percent=True,
        note=f"Worth a year, majors over alts while open, after switches. Down: added to the upper "
        f"thresholds; across: shortest spell. Ours: {here}. A plateau of one colour is to be "
        "trusted more than a lucky cell.",
        is_dated=False,
    )


def placebo_chart(run: RunTables) -> Chart | None:
    """Return how much gates that know nothing were worth, the bin of the true one marked."""
    table = run.tables.get("placebo")
    if table is None or table.empty:
        return None
    counts = table["n_placebos"].astype(float)
    own = counts.where(table["is_this_gate"].astype(bool))
    return Chart(
        key="placebo",
        title="Gates with the same dwell times that know nothing",
        x=_names(table["worth"].tolist()),
        series=[
            Series("placebo gates", counts.tolist(), GREY, "bar"),
            Series("this gate lies here", own.tolist(), BLUE, "marker"),
        ],
        y_title="gates",
        note="Worth a year, after switches.",
        is_dated=False,
    )


def _names(worths: list[float]) -> list[str]:
    """Return the numbers as percent with as few digits as tell them apart.

    Examples
    --------
    >>> _names([0.01, 0.02]), _names([0.01, 0.012])
    (['+1%', '+2%'], ['+1.0%', '+1.2%'])
    """
    digits = range(6)
    named = ([percent(worth, n, signed=True) for worth in worths] for n in digits)
    return next((names for names in named if len(set(names)) == len(names)), list(map(str, worths)))


def coverage_chart(run: RunTables) -> Chart | None:
    """Return which share of the data was there, and which share of it had an assumed time."""
    features = run.tables["features_wide"]
    shares = {
        "days with all groups, 30 days": (_rolling(features["valid"]), BLUE),
        "days with funding, 30 days": (_rolling(features["has_funding"]), GREEN),
        "funded alts with open interest": (_numbers(features["funding_oi_coverage"]), PURPLE),
        "knowledge assumed": (_numbers(features["share_assumed"]), ORANGE),
    }
    return Chart(
        key="coverage",
        title="How complete the data was",
        x=[f"{day:%Y-%m-%d}" for day in pd.to_datetime(features["date"])],
        series=[
            Series(name, values.tolist(), color, is_dashed=name.endswith("assumed"))
            for name, (values, color) in shares.items()
            if values.notna().any()
        ],
        y_title="share",
        is_percent=True,
        note="Assumed: the time a value became known was set by rule, not seen.",
    )


def _rolling(flags: pd.Series[bool]) -> pd.Series[float]:
    return flags.fillna(value=False).astype("float64").rolling(30, min_periods=1).mean()


def _numbers(column: pd.Series[float]) -> pd.Series[float]:
    return column.astype("float64")
