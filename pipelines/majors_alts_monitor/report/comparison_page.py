"""The comparison of a sweep's members as one interactive page that opens from disk.

Flow: ``leaderboard, returns, overfitting, configs -> render -> HTML``. The deflated figures and the
probability of overfitting stand first: the best of many is not what it looks like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup

from majors_alts_monitor.report.charts import (
    BLUE,
    GREY,
    PALETTE,
    SKY,
    Chart,
    Heat,
    Series,
    at_most,
    key_of,
)
from majors_alts_monitor.report.dashboard import environment, figures, flat
from majors_alts_monitor.report.formatting import NOTHING, number, percent

MOST_CURVES: Final = 7
MOST_BARS: Final = 12
MOST_VALUES: Final = 40
"""A key with more values is no axis."""
MOST_HEATS: Final = 6
MOST_DAYS: Final = 2000
N_BINS: Final = 20
COLUMNS: Final = {
    "deflated_sharpe": ("Deflated", number),
    "psr": ("PSR", number),
    "sharpe": ("Sharpe", number),
    "sharpe_ci_low": ("95% low", number),
    "sharpe_ci_high": ("95% high", number),
    "cagr": ("CAGR", percent),
    "volatility": ("Volatility", percent),
    "max_drawdown": ("Drawdown", percent),
    "avg_turnover": ("Turnover a day", percent),
    "cost_drag": ("Costs a year", percent),
    "funding_drag": ("Funding a year", percent),
}


def render(
    board: pd.DataFrame,
    returns: pd.DataFrame,
    overfitting: Mapping[str, Any],
    configs: Mapping[str, Mapping[str, Any]],
    *,
    title: str = "Backtests compared",
    is_synthetic: bool = False,
) -> str:
    """Return the page.

    Parameters
    ----------
    board : DataFrame
        One row a member, the best first: member, and the names of ``COLUMNS``.
    returns : DataFrame of shape (n_days, n_members)
        Daily net returns, by date.
    overfitting : mapping
        n_members, n_days, pbo, spa_p; loss_probability, logits and vintage_gap where defined.
    configs : mapping of str to mapping
        Effective configuration of each member.
    title : str
    is_synthetic : bool
        The members ran on the sandbox's market.
    """
    from plotly.offline import get_plotlyjs

    # In the order of the leaderboard, whose numbers the page repeats.
    differing = differences({name: configs[name] for name in board["member"]})
    sections = charts(board, returns, overfitting, differing)
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            title=title,
            is_synthetic=is_synthetic,
            verdict=verdict_lines(overfitting),
            heads=[label for label, _ in COLUMNS.values()],
            rows=board_rows(board),
            keys=list(differing.columns),
            settings=[
                (str(name), list(row))
                for name, row in zip(differing.index, differing.to_numpy(), strict=True)
            ],
            charts=sections,
            key_of=key_of,
            n_shown=len(board),
            plotly_js=Markup(get_plotlyjs()),  # noqa: S704 - the library's own script
            figures=Markup(figures(sections)),  # noqa: S704 - numbers and escaped text
        )
    )


def verdict_lines(overfitting: Mapping[str, Any]) -> list[str]:
    """Return what the number of tries does to the best of them, in words.

    Examples
    --------
    >>> verdict_lines({"n_members": 1, "n_days": 90, "pbo": None, "spa_p": None})[1]
    'Probability of backtest overfitting (PBO): n/a.'
    """
    pbo, spa = overfitting.get("pbo"), overfitting.get("spa_p")
    said = [
        f"{overfitting['n_members']} members over {overfitting['n_days']} days; every one is "
        "a trial that the deflated Sharpe ratio counts.",
        f"Probability of backtest overfitting (PBO): {percent(pbo)}.",
        f"Superior predictive ability over cash (SPA): p = {number(spa, 3)}.",
    ]
    if overfitting.get("vintage_gap"):
        said.append(overfitting["vintage_gap"])
    loss = overfitting.get("loss_probability")
    if loss is not None:
        said.append(f"The best of one half lost money in the other in {percent(loss)} of splits.")
    if pbo is not None and pbo > 0.5:
        said.append("The best in one half is more often than not below the median in the other.")
    if spa is not None and spa > 0.05:
        said.append("The best member is not better than cash beyond what chance gives.")
    return said


def board_rows(board: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Return the leaderboard, formatted."""
    return [
        (str(row["member"]), [show(row.get(name)) for name, (_, show) in COLUMNS.items()])
        for row in board.to_dict("records")
    ]


def differences(configs: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the keys in which members differ, one row a member, one column a dotted key.

    Examples
    --------
    >>> differences({"a": {"x": {"k": 1}, "y": 2}, "b": {"x": {"k": 3}, "y": 2}}).to_dict()
    {'x.k': {'a': '1', 'b': '3'}}
    """
    table = pd.DataFrame({name: flat(config) for name, config in configs.items()}, dtype=object).T
    table = table.astype(object).where(table.notna(), NOTHING).map(str)
    varying = [key for key in table.columns if table[key].nunique() > 1]
    return table[sorted(varying)]


def charts(
    board: pd.DataFrame,
    returns: pd.DataFrame,
    overfitting: Mapping[str, Any],
    differing: pd.DataFrame,
) -> dict[str, list[Chart | Heat]]:
    """Return by section: equity side by side, the parameters' charts, and those of overfitting."""
    found: dict[str, list[Chart | Heat | None]] = {
        "equity": [equity_chart(board, returns), drawdown_chart(board, returns)],
        "parameters": [*parameter_charts(board, differing)],
        "overfitting": [
            logit_chart(overfitting.get("logits") or []),
            interval_chart(board),
        ],
    }
    return {
        name: [at_most(chart, MOST_DAYS) for chart in charts if chart is not None]
        for name, charts in found.items()
    }


def drawdown_chart(board: pd.DataFrame, returns: pd.DataFrame) -> Chart:
    """Return the fall from the highest equity so far of the members that lead."""
    equity = equity_chart(board, returns)
    falls = []
    for series in equity.series:
        values = np.asarray(series.values, dtype=np.float64)
        highest = np.maximum(np.maximum.accumulate(values), 1.0)
        falls.append(replace(series, values=(values / highest - 1.0).tolist()))
    return replace(
        equity,
        key="drawdown",
        title="Drawdown",
        series=falls,
        y_title="of the highest equity",
        is_percent=True,
        levels={},
        note="",
    )


def interval_chart(board: pd.DataFrame) -> Chart | None:
    """Return the Sharpe ratio of the members that lead with its interval; null without any."""
    if "sharpe_ci_low" not in board.columns:
        return None
    known = board[board["sharpe"].notna()].head(MOST_BARS)
    if known.empty:
        return None
    return Chart(
        key="intervals",
        title="Sharpe and what it may be by chance",
        x=[f"{rank}." for rank in range(1, len(known) + 1)],
        series=[
            Series(
                "Sharpe",
                known["sharpe"].astype(float).tolist(),
                SKY,
                "bar",
                low=known["sharpe_ci_low"].astype(float).tolist(),
                high=known["sharpe_ci_high"].astype(float).tolist(),
            )
        ],
        y_title="a year",
        levels={"": 0.0},
        note="By rank on the leaderboard. Whiskers: 95 % of each member alone; that the best of "
        "many was picked is in the deflated figure only.",
        is_dated=False,
    )


def equity_chart(board: pd.DataFrame, returns: pd.DataFrame) -> Chart:
    """Return the equity of the members that lead."""
    best = [name for name in board["member"] if name in returns.columns][:MOST_CURVES]
    rank = {name: place for place, name in enumerate(board["member"], start=1)}
    equity = (1 + returns[best]).cumprod()
    return Chart(
        key="equity",
        title="Equity after all costs",
        x=[f"{day:%Y-%m-%d}" for day in pd.to_datetime(equity.index)],
        series=[
            Series(f"{rank[name]}.", equity[name].tolist(), PALETTE[i % len(PALETTE)])
            for i, name in enumerate(best)
        ],
        y_title="start = 1",
        levels={"start": 1.0},
        note=f"The first {len(best)} of the leaderboard, by their place on it.",
    )


def logit_chart(logits: list[float]) -> Chart | None:
    """Return where the best of one half ranked in the other; below 0 is worse than the median."""
    if not logits:
        return None
    values = np.asarray(logits, dtype=np.float64)
    reach = max(float(np.abs(values).max()), 1.0)
    edges = np.linspace(-reach, reach, N_BINS + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    below, _ = np.histogram(values[values <= 0], bins=edges)
    above, _ = np.histogram(values[values > 0], bins=edges)
    return Chart(
        key="logits",
        title="Rank out of sample of the best in sample",
        x=[f"{middle:.2f}" for middle in middles],
        series=[
            Series("below the median", below.astype(float).tolist(), GREY, "stacked"),
            Series("above", above.astype(float).tolist(), BLUE, "stacked"),
        ],
        y_title="splits",
        is_dated=False,
        note="Logit of the rank over all splits; the grey share is the PBO.",
    )


def parameter_charts(board: pd.DataFrame, differing: pd.DataFrame) -> list[Chart | Heat]:
    """Return the Sharpe ratio over the keys that vary: a line for one, a heat map for each pair.

    With more than two keys a cell is the median over the others.
    """
    keys = [key for key in differing.columns if differing[key].nunique() <= MOST_VALUES]
    sharpe = board.set_index("member")["sharpe"].astype(float).reindex(differing.index)
    if sharpe.isna().all():
        return []
    table = differing.assign(sharpe=sharpe)
    if len(keys) == 1:
        return [parameter_chart(table, keys[0])]
    pairs = list(combinations(keys, 2))[:MOST_HEATS]
    return [parameter_heat(table, *pair, n_keys=len(keys)) for pair in pairs]


def parameter_chart(table: pd.DataFrame, key: str) -> Chart:
    """Return the Sharpe ratio by the one key that varies."""
    by_value = table.groupby(key)["sharpe"].median()
    values = sorted(by_value.index, key=_by_value)
    found = by_value.reindex(values).to_numpy(dtype=np.float64)
    return Chart(
        key="parameters",
        title=f"Sharpe by {key}",
        x=[str(value) for value in values],
        series=[Series("Sharpe", found.tolist(), BLUE, "bar")],
        y_title="a year",
        levels={"": 0.0},
        note=_plateau_note(found[np.newaxis]),
        is_dated=False,
    )


def parameter_heat(table: pd.DataFrame, first: str, second: str, *, n_keys: int = 2) -> Heat:
    """Return the Sharpe ratio by two keys; the note holds the plateau score, see ``plateau``."""
    wide = table.pivot_table(
        index=first, columns=second, values="sharpe", dropna=False, aggfunc="median"
    )
    rows, columns = (sorted(axis, key=_by_value) for axis in (wide.index, wide.columns))
    grid = wide.reindex(index=rows, columns=columns).to_numpy(dtype=np.float64)
    others = "Median over the other keys. " if n_keys > 2 else ""
    return Heat(
        key=f"parameters-{first}-{second}".replace(".", "-"),
        title=f"Sharpe by {first} (down) and {second} (across)",
        x=[str(name) for name in columns],
        y=[str(name) for name in rows],
        values=grid.tolist(),
        limit=max(float(np.nanmax(np.abs(grid), initial=0.0)), 1e-9),
        is_dated=False,
        note=others + _plateau_note(grid),
    )


def _plateau_note(grid: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    if not np.isfinite(grid).any():
        return "No member has a Sharpe ratio."
    return (
        f"Plateau score: neighbours of the best have {number(plateau(grid))} less Sharpe on "
        "average; a plateau is near 0, a lucky peak is not."
    )


def plateau(grid: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Return how far the neighbours of the best cell fall below it on average; NaN without any.

    Examples
    --------
    >>> plateau(np.array([[0.0, 1.0], [0.5, np.nan]]))
    1.0
    """
    row, column = np.unravel_index(int(np.nanargmax(grid)), grid.shape)
    padded = np.pad(grid, 1, constant_values=np.nan)
    r, c = int(row) + 1, int(column) + 1
    beside = np.array([padded[r - 1, c], padded[r + 1, c], padded[r, c - 1], padded[r, c + 1]])
    known = beside[np.isfinite(beside)]
    return float(grid[row, column] - known.mean()) if known.size else float("nan")


def _by_value(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text
