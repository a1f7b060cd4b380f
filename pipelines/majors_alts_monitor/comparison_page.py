"""The comparison of a sweep's members as one interactive page that opens from disk.

Flow: ``leaderboard, returns, overfitting, configs -> render -> HTML``. The deflated figures and the
probability of overfitting stand first: the best of many is not what it looks like.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup

from majors_alts_monitor.charts import BLUE, GREY, PALETTE, Chart, Heat, Series
from majors_alts_monitor.dashboard import environment, figures, flat
from majors_alts_monitor.formatting import NOTHING, number, percent

MOST_CURVES: Final = 8
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
        n_members, n_days, pbo, spa_p; loss_probability and logits where defined.
    configs : mapping of str to mapping
        Effective configuration of each member.
    title : str
    is_synthetic : bool
        The members ran on the sandbox's market.
    """
    from plotly.offline import get_plotlyjs

    differing = differences(configs)
    sections = {"all": charts(board, returns, overfitting, differing)}
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
            charts=sections["all"],
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
) -> list[Chart | Heat]:
    """Return equity side by side, the PBO's logits and, where two keys vary, their heat map."""
    found = [
        equity_chart(board, returns),
        logit_chart(overfitting.get("logits") or []),
        parameter_heat(board, differing),
    ]
    return [chart for chart in found if chart is not None]


def equity_chart(board: pd.DataFrame, returns: pd.DataFrame) -> Chart:
    """Return the equity of the members that lead."""
    best = [name for name in board["member"] if name in returns.columns][:MOST_CURVES]
    equity = (1 + returns[best]).cumprod()
    return Chart(
        key="equity",
        title="Equity after all costs",
        x=[f"{day:%Y-%m-%d}" for day in pd.to_datetime(equity.index)],
        series=[
            Series(str(name), equity[name].tolist(), PALETTE[i % len(PALETTE)])
            for i, name in enumerate(best)
        ],
        y_title="start = 1",
        levels={"start": 1.0},
        note=f"The first {len(best)} of the leaderboard.",
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


def parameter_heat(board: pd.DataFrame, differing: pd.DataFrame) -> Heat | None:
    """Return the Sharpe ratio by the two keys that vary; null with another number of keys.

    The note holds the plateau score, see ``plateau``.
    """
    if len(differing.columns) != 2:
        return None
    first, second = differing.columns
    sharpe = board.set_index("member")["sharpe"].astype(float).reindex(differing.index)
    table = differing.assign(sharpe=sharpe).pivot_table(
        index=first, columns=second, values="sharpe", dropna=False
    )
    rows, columns = (sorted(axis, key=_by_value) for axis in (table.index, table.columns))
    grid = table.reindex(index=rows, columns=columns).to_numpy(dtype=np.float64)
    if not np.isfinite(grid).any():
        return None
    return Heat(
        key="parameters",
        title=f"Sharpe by {first} (down) and {second} (across)",
        x=[str(name) for name in columns],
        y=[str(name) for name in rows],
        values=grid.tolist(),
        limit=max(float(np.nanmax(np.abs(grid))), 1e-9),
        is_dated=False,
        note=f"Neighbours of the best have {number(plateau(grid))} less Sharpe on average: "
        "a plateau is near 0, a lucky peak is not.",
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
