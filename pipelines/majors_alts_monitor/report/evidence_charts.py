"""Charts of what stands behind the result: features, basket, signs, regimes, stability.

Flow: ``RunTables -> charts``. A chart whose table the run does not have, or whose table is empty,
is left out; the page says so.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.outputs import RunTables
from majors_alts_monitor.report.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    PURPLE,
    Chart,
    Heat,
    Series,
)
from majors_alts_monitor.report.formatting import regime_words
from majors_alts_monitor.types import DAYS_PER_YEAR, GROUPS, Floats, Regime

SHARPE_WINDOW: Final = 91
TWO_SIDED_95: Final = 1.959963984540054
MOST_COLUMNS: Final = 500
"""Days of a heat map; a longer range shows every second, third, .. day."""
Z_LIMIT: Final = 3.0


def rolling_sharpe_chart(run: RunTables) -> Chart | None:
    """Return the Sharpe ratio of each quarter of days, with its interval."""
    curve = run.tables["bt_equity_curve"]
    if len(curve) < SHARPE_WINDOW:
        return None
    sharpe, reach = rolling_sharpe(curve["r_ls_net"], SHARPE_WINDOW)
    if not np.isfinite(sharpe).any():
        return None
    return Chart(
        key="rolling-sharpe",
        title=f"Sharpe of the last {SHARPE_WINDOW} days",
        x=days_of(curve),
        series=[
            Series(
                "Sharpe",
                sharpe.tolist(),
                BLUE,
                low=(sharpe - reach).tolist(),
                high=(sharpe + reach).tolist(),
            )
        ],
        y_title="a year",
        levels={"nothing": 0.0},
        note="Band: 95 % of Lo (2002) for independent days; a quarter says little.",
    )


def rolling_sharpe(returns: pd.Series[float], window: int) -> tuple[Floats, Floats]:
    r"""Return the yearly Sharpe ratio of each window and the reach of its 95 % interval.

    The error of a Sharpe ratio s per day is :math:`\sqrt{(1 + s^2 / 2) / n}`; undefined without
    variation.

    References
    ----------
    .. [1] A. Lo (2002), "The Statistics of Sharpe Ratios", Financial Analysts Journal 58(4).

    Examples
    --------
    >>> sharpe, reach = rolling_sharpe(pd.Series([0.01, -0.01, 0.03]), 3)
    >>> (sharpe[-1] / 365**0.5).round(6), (reach[-1] / 365**0.5 / 1.959963984540054).round(6)
    (np.float64(0.5), np.float64(0.612372))
    """
    rolled = returns.rolling(window)
    spread = rolled.std()
    # Sums over a rolling window leave dust where nothing moved.
    daily = (rolled.mean() / spread.where(spread > 1e-12)).to_numpy(dtype=np.float64)
    error = np.sqrt((1 + daily**2 / 2) / window)
    return daily * DAYS_PER_YEAR**0.5, TWO_SIDED_95 * error * DAYS_PER_YEAR**0.5


def feature_heat(run: RunTables) -> Heat | None:
    """Return each group's z-score times its direction: blue speaks for majors.

    Null where no day has any.
    """
    features = thinned(run.tables["features_wide"])
    if features[[PRIMARY[group] for group in GROUPS]].isna().all(axis=None):
        return None
    directions = run.manifest["config"]["regime"]["directions"]
    return Heat(
        key="features",
        title="What each feature says",
        x=days_of(features),
        y=[f"{group.replace('_', ' ')} ({directions[group]:+d})" for group in GROUPS],
        values=[
            (features[PRIMARY[group]].astype(float) * directions[group]).tolist()
            for group in GROUPS
        ],
        limit=Z_LIMIT,
        note="Z-score times the configured direction in brackets: blue speaks for majors, "
        "orange-red for alts, blank is missing.",
    )


def basket_heat(run: RunTables) -> Heat | None:
    """Return the weights held into each day, the assets held most first."""
    positions = run.tables["bt_positions"]
    held = positions[positions["weight_open"] != 0]
    if held.empty:
        return None
    table = held.pivot_table(index="asset_id", columns="date", values="weight_open")
    table = table.reindex(columns=pd.Index(run.tables["bt_daily_pnl"]["date"]))
    order = table.abs().sum(axis=1).sort_values(ascending=False, kind="stable").index
    shown = thinned(table.loc[order].T)
    return Heat(
        key="basket",
        title="Basket history",
        x=[f"{day:%Y-%m-%d}" for day in pd.to_datetime(shown.index)],
        y=[str(asset) for asset in order],
        values=shown.T.to_numpy(dtype=np.float64).round(6).tolist(),
        limit=_strongest_alt(held),
        is_percent=True,
        note="Weight held into each day; orange-red short, blue long. Majors may be off the scale.",
    )


def _strongest_alt(held: pd.DataFrame) -> float:
    """Return the largest ALT weight, so that the majors do not bleach the others."""
    alts = held.loc[held["leg"] == "alt", "weight_open"].abs()
    return float(alts.max()) if len(alts) else float(held["weight_open"].abs().max())


def rank_ic_heat(run: RunTables) -> Heat | None:
    """Return the rank IC of each input times its direction, by horizon, over the whole range."""
    table = run.tables.get("rank_ic")
    if table is None:
        return None
    whole = table[table["window"].astype(str) == "all"]
    signed = whole.assign(signed=whole["rank_ic"] * whole["direction"])
    wide = signed.pivot_table(index="input", columns="horizon_days", values="signed", sort=False)
    if wide.empty:
        return None
    return Heat(
        key="rank-ic",
        title="Does each input lead the way it is read?",
        x=[f"{horizon} days" for horizon in wide.columns],
        y=[str(name).replace("_", " ") for name in wide.index],
        values=wide.to_numpy(dtype=np.float64).tolist(),
        limit=0.3,
        note="Rank correlation with the forward return of majors over alts, times the configured "
        "direction: blue agrees, orange-red disagrees.",
        is_dated=False,
    )


def sign_history_heat(run: RunTables) -> Heat | None:
    """Return the signed rank IC of each half year at the middle horizon."""
    table = run.tables.get("rank_ic")
    if table is None:
        return None
    horizons = sorted(table["horizon_days"].unique())
    middle = horizons[len(horizons) // 2]
    parts = table[(table["window"].astype(str) != "all") & (table["horizon_days"] == middle)]
    signed = parts.assign(signed=parts["rank_ic"] * parts["direction"])
    wide = signed.pivot_table(index="input", columns="start", values="signed", sort=False)
    if wide.empty:
        return None
    return Heat(
        key="sign-history",
        title=f"The same at {middle} days, half year by half year",
        x=[f"{pd.Timestamp(start):%b %Y}" for start in wide.columns],
        y=[str(name).replace("_", " ") for name in wide.index],
        values=wide.to_numpy(dtype=np.float64).tolist(),
        limit=0.5,
        note="Each column is named by its first month. A sign that turns from one half year to the "
        "next is not one to rely on.",
        is_dated=False,
    )


def forward_return_chart(run: RunTables) -> Chart | None:
    """Return the forward return after days in each regime over that of all days."""
    table = run.tables.get("regime_forward_returns")
    if table is None or table.empty:
        return None
    regimes = list(dict.fromkeys(table["regime"]))
    series = []
    for i, (horizon, rows) in enumerate(table.groupby("horizon_days")):
        one = rows.set_index("regime").reindex(regimes)
        series.append(
            Series(
                f"{horizon} days",
                one["excess_return"].tolist(),
                PALETTE[i % len(PALETTE)],
                "bar",
                low=one["ci_low"].tolist(),
                high=one["ci_high"].tolist(),
            )
        )
    return Chart(
        key="forward-returns",
        title="Majors over alts after days in each regime, against all days",
        x=[regime_words(regime) for regime in regimes],
        series=series,
        y_title="excess return",
        is_percent=True,
        is_dated=False,
        note="Whiskers: 95 %, overlap allowed for. A gate that works is above 0 on the right.",
    )


def regime_attribution_chart(run: RunTables) -> Chart:
    """Return what each regime added to the result, part by part."""
    # Imported here: with it comes scipy, which no mail needs.
    from majors_alts_monitor.kpis import PARTS

    daily = run.tables["bt_daily_pnl"]
    totals = daily.groupby("regime")[list(PARTS)].sum()
    totals = totals.reindex([name.value for name in Regime if name.value in totals.index])
    costs = -(totals["fees"] + totals["slippage"] + totals["impact"])
    funding = totals["funding_alts"] + totals["funding_majors"]
    parts = {
        "alts": (totals["pnl_alts"], ORANGE),
        "BTC": (totals["pnl_btc"], BLUE),
        "ETH": (totals["pnl_eth"], PURPLE),
        "funding": (funding, GREEN),
        "costs": (costs, GREY),
    }
    return Chart(
        key="regime-attribution",
        title="Result by regime decided on",
        x=[regime_words(regime) for regime in totals.index],
        series=[
            Series(name, values.tolist(), color, "stacked")
            for name, (values, color) in parts.items()
        ],
        y_title="sum of daily parts",
        is_percent=True,
        is_dated=False,
        note="Costs of leaving fall on the regime that asked for it.",
    )


def calibration_charts(run: RunTables) -> list[Chart]:
    """Return weights and objective of each calibration window; empty without calibration."""
    table = run.tables.get("calibration")
    if table is None or table.empty:
        return []
    days = [str(day)[:10] for day in table["apply_start"]]
    weights = [
        Series(group.replace("_", " "), table[f"weight_{group}"].tolist(), PALETTE[i])
        for i, group in enumerate(GROUPS)
    ]
    objective = [
        Series("in sample", table["objective_in_sample"].tolist(), GREY, "bar"),
        Series("out of sample", table["objective_out_of_sample"].tolist(), BLUE, "bar"),
    ]
    return [
        Chart(
            key="calibration-weights",
            title="Calibrated weights, window by window",
            x=days,
            series=weights,
            y_title="weight",
            note="Weights that jump from window to window are fitted to noise.",
        ),
        Chart(
            key="calibration-objective",
            title="Calibration objective, fitted and afterwards",
            x=days,
            series=objective,
            y_title="objective",
            levels={"nothing": 0.0},
            note="The blue bars are what the fit was worth on days it had not seen.",
        ),
    ]


def thinned(frame: pd.DataFrame) -> pd.DataFrame:
    """Return every k-th row, the last included, so that at most ``MOST_COLUMNS`` are left."""
    step = -(-len(frame) // MOST_COLUMNS)
    return frame.iloc[(len(frame) - 1) % max(step, 1) :: max(step, 1)]


def days_of(frame: pd.DataFrame) -> list[str]:
    """Return the column ``date`` as ISO days."""
    return [f"{day:%Y-%m-%d}" for day in pd.to_datetime(frame["date"])]
