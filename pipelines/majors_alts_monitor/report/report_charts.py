"""The charts of a run, as specifications: what is drawn, not how.

Flow: ``RunTables -> charts`` by section of the page; ``mail_charts`` picks the three that a
phone gets.
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
    PALETTE,
    PURPLE,
    RED,
    SKY,
    Chart,
    Heat,
    Series,
    Span,
    at_most,
    latest,
)
from majors_alts_monitor.report.evidence_charts import (
    basket_heat,
    calibration_charts,
    days_of,
    feature_heat,
    forward_return_chart,
    rank_ic_heat,
    regime_attribution_chart,
    rolling_sharpe_chart,
    sign_history_heat,
)
from majors_alts_monitor.report.formatting import regime_words
from majors_alts_monitor.report.robustness_charts import coverage_chart, robustness_charts
from majors_alts_monitor.types import GROUPS, Floats, Regime

REGIME_COLORS: Final = {
    Regime.STRONG_RISK_ON_ALTS: RED,
    Regime.WEAK_RISK_ON_ALTS: ORANGE,
    Regime.RISK_ON_ALTS: ORANGE,
    Regime.WEAK_RISK_ON_MAJORS: SKY,
    Regime.RISK_ON_MAJORS: SKY,
    Regime.STRONG_RISK_ON_MAJORS: BLUE,
}
"""BALANCED is left blank."""
BENCHMARKS: Final = {
    "BTC": ("btc", ORANGE),
    "BTC and ETH": ("majors", PURPLE),
    "ungated": ("ungated", GREEN),
    "cash": ("cash", GREY),
}
"""Name to column of benchmarks.csv and colour."""
MAIL_DAYS: Final = 182
MOST_DAYS: Final = 2000
"""Days a line of the page shows; of more, every second, third, .., so the file stays small."""


def charts(run: RunTables) -> dict[str, list[Chart | Heat]]:
    """Return every chart of the page by section; one that would show nothing is left out.

    Without a book in the range every line of book and result is flat: the page says so in words
    and shows what else the money could have done.
    """
    held = run.tables["bt_daily_pnl"]["total_gross"].to_numpy(dtype=np.float64)
    has_book = bool((held != 0).any())
    sections: dict[str, list[Chart | Heat | None]] = {
        "score": [score_chart(run), contribution_chart(run), feature_heat(run)],
        "book": _book_charts(run) if has_book else [],
        "result": _result_charts(run) if has_book else [benchmark_chart(run)],
        "evidence": [
            rank_ic_heat(run),
            sign_history_heat(run),
            forward_return_chart(run),
            *calibration_charts(run),
        ],
        "robustness": robustness_charts(run, has_book=has_book),
        "data": [coverage_chart(run), universe_chart(run)],
    }
    return {
        name: [at_most(chart, MOST_DAYS) for chart in found if chart is not None]
        for name, found in sections.items()
    }


def _book_charts(run: RunTables) -> list[Chart | Heat | None]:
    return [exposure_chart(run), basket_heat(run), beta_chart(run), realised_beta_chart(run)]


def _result_charts(run: RunTables) -> list[Chart | Heat | None]:
    return [
        equity_chart(run),
        drawdown_chart(run),
        benchmark_chart(run),
        benchmark_drawdown_chart(run),
        rolling_sharpe_chart(run),
        attribution_chart(run),
        regime_attribution_chart(run),
    ]


def mail_charts(run: RunTables) -> list[Chart]:
    """Return the three charts of the mail: equity whole, score and book of the last half year."""
    score = score_chart(run)
    shown = [latest(score, MAIL_DAYS)] if score is not None else []
    return [*shown, equity_chart(run), latest(exposure_chart(run), MAIL_DAYS)]


def score_chart(run: RunTables) -> Chart | None:
    """Return the score with the regime behind it, the thresholds as lines, gated days as marks.

    Null where no day has a score.
    """
    timeline = run.tables["regime_timeline"]
    if timeline["score"].isna().all():
        return None
    thresholds = run.manifest["config"]["regime"]["thresholds"]
    is_gated = timeline["high_vol_gate"].astype(bool)
    gated = np.where(is_gated, timeline["score"], np.nan)
    marks = [Series("gate: no new risk", gated.tolist(), RED, "marker")] if is_gated.any() else []
    return Chart(
        key="score",
        title="Regime score; positive favours majors",
        x=days_of(timeline),
        series=[Series("score", timeline["score"].tolist(), BLUE), *marks],
        y_title="z-score units",
        spans=regime_spans(timeline),
        levels=dict(thresholds),
        note="Shaded: the regime in force, balanced is blank. Dotted: thresholds. Marked: days on "
        "which the high-volatility gate let no risk be added.",
    )


def contribution_chart(run: RunTables) -> Chart | None:
    """Return what each group adds to the score, stacked."""
    contributions = run.tables.get("score_contributions")
    if contributions is None or contributions[list(GROUPS)].isna().all(axis=None):
        return None
    return Chart(
        key="contributions",
        title="What the score is made of",
        x=days_of(contributions),
        series=[
            Series(
                group.replace("_", " "),
                contributions[group].tolist(),
                PALETTE[i % len(PALETTE)],
                "stacked",
            )
            for i, group in enumerate(GROUPS)
        ],
        y_title="z-score units",
        note="Each day's bars sum to its score before any gate.",
    )


def equity_chart(run: RunTables) -> Chart:
    """Return equity over the regime in force, with the days it traded."""
    curve, daily = run.tables["bt_equity_curve"], run.tables["bt_daily_pnl"]
    series = [Series("strategy", curve["equity"].tolist(), BLUE)]
    # Without any exit the column comes back from its file as numbers.
    exits = daily["exit_reason"].notna() & (daily["exit_reason"].astype(str) != "")
    for name, is_marked, color in (
        ("rebalance", daily["rebalanced"].astype(bool) & ~exits, GREEN),
        ("exit", exits, RED),
    ):
        if is_marked.any():
            marked = np.where(is_marked, curve["equity"], np.nan)
            series.append(Series(name, marked.tolist(), color, "marker"))
    return Chart(
        key="equity",
        title="Equity after all costs",
        x=days_of(curve),
        series=series,
        y_title="start = 1",
        spans=regime_spans(run.tables["regime_timeline"]),
        levels={"start": 1.0},
        note="Starts at 1 before the first day reported; costs and funding are in. Shaded: the "
        "regime in force.",
    )


def benchmark_chart(run: RunTables) -> Chart | None:
    """Return the equity beside what else the money could have done."""
    table = run.tables.get("benchmarks")
    if table is None:
        return None
    strategy = run.tables["bt_equity_curve"]["equity"].tolist()
    return Chart(
        key="benchmarks",
        title="Against doing something simpler",
        x=days_of(table),
        series=[
            Series("strategy", strategy, BLUE),
            *(
                Series(name, table[column].tolist(), color, is_dashed=True)
                for name, (column, color) in BENCHMARKS.items()
            ),
        ],
        y_title="start = 1",
        note="Benchmarks pay no costs. Ungated: majors against the alt index every day, unhedged. "
        "The strategy's volatility is far below that of long BTC.",
    )


def drawdown_chart(run: RunTables) -> Chart:
    """Return the fall from the highest equity so far."""
    curve = run.tables["bt_equity_curve"]
    return Chart(
        key="drawdown",
        title="Drawdown",
        x=days_of(curve),
        series=[Series("drawdown", curve["drawdown"].tolist(), RED, "area")],
        y_title="of the highest equity",
        is_percent=True,
        spans=regime_spans(run.tables["regime_timeline"]),
    )


def benchmark_drawdown_chart(run: RunTables) -> Chart | None:
    """Return the fall from the highest equity so far, beside that of the benchmarks."""
    table = run.tables.get("benchmarks")
    if table is None:
        return None
    own = run.tables["bt_equity_curve"]["drawdown"].tolist()
    falls = [
        Series(name, _drawdown(table[column]).tolist(), color, is_dashed=True)
        for name, (column, color) in BENCHMARKS.items()
        if column != "cash"
    ]
    return Chart(
        key="benchmark-drawdowns",
        title="Drawdown against doing something simpler",
        x=days_of(table),
        series=[Series("strategy", own, BLUE), *falls],
        y_title="of the highest equity",
        is_percent=True,
    )


def _drawdown(equity: pd.Series[float]) -> Floats:
    values = equity.to_numpy(dtype=np.float64)
    return values / np.maximum(np.maximum.accumulate(values), 1.0) - 1.0


def attribution_chart(run: RunTables) -> Chart:
    """Return the cumulative sum of each part of the PnL."""
    daily = run.tables["bt_daily_pnl"]
    costs = -(daily["fees"] + daily["slippage"] + daily["impact"])
    parts = {
        "short alts": (daily["pnl_alts"], ORANGE),
        "long BTC": (daily["pnl_btc"], BLUE),
        "long ETH": (daily["pnl_eth"], PURPLE),
        "funding": (daily["funding_alts"] + daily["funding_majors"], GREEN),
        "costs": (costs, RED),
        "net": (daily["r_ls_net"], GREY),
    }
    return Chart(
        key="attribution",
        title="Where the result came from",
        x=days_of(daily),
        series=[
            Series(name, values.cumsum().tolist(), color, is_dashed=name == "net")
            for name, (values, color) in parts.items()
        ],
        y_title="sum of daily parts",
        is_percent=True,
        note="Simple sums of the daily parts; they add up to the dashed line every day.",
    )


def exposure_chart(run: RunTables) -> Chart:
    """Return the legs of the book held into each day."""
    daily = run.tables["bt_daily_pnl"]
    return Chart(
        key="exposure",
        title="Book: majors long, alts short",
        x=days_of(daily),
        series=[
            Series("majors", daily["major_gross"].tolist(), BLUE, "area"),
            Series("alts", (-daily["alt_gross"]).tolist(), ORANGE, "area"),
            Series("net", daily["net_exposure"].tolist(), GREY, is_dashed=True),
        ],
        y_title="of NAV",
        is_percent=True,
    )


def beta_chart(run: RunTables) -> Chart:
    """Return the forecast betas of the book held into each day; neutral is 0."""
    daily = run.tables["bt_daily_pnl"]
    return Chart(
        key="betas",
        title="Forecast beta of the book",
        x=days_of(daily),
        series=[
            Series("to BTC", daily["beta_btc"].tolist(), BLUE),
            Series("to ETH", daily["beta_eth"].tolist(), PURPLE),
        ],
        y_title="beta",
        levels={"neutral": 0.0},
        note="Forecast from the betas the book was built on; drift moves it between trades.",
    )


def realised_beta_chart(run: RunTables) -> Chart | None:
    """Return the betas that a quarter of net returns shows, with their intervals.

    Null with fewer than two quarters to compare.
    """
    table = run.tables.get("realised_betas")
    if table is None or len(table) < 2:
        return None
    return Chart(
        key="realised-betas",
        title="Realised beta, quarter by quarter of days",
        x=days_of(table),
        series=[
            Series(
                f"to {major.upper()}",
                table[f"beta_{major}"].tolist(),
                color,
                low=table[f"beta_{major}_low"].tolist(),
                high=table[f"beta_{major}_high"].tolist(),
            )
            for major, color in (("btc", BLUE), ("eth", PURPLE))
        ],
        y_title="beta",
        levels={"neutral": 0.0},
        note="Band: 95 %, Newey-West. A band that leaves 0 is a book that was not neutral.",
    )


def universe_chart(run: RunTables) -> Chart | None:
    """Return how many alts were eligible each day; null where none ever was."""
    universe = run.tables["universe"]
    eligible = universe[universe["is_eligible"]].groupby("date").size()
    if eligible.empty:
        return None
    return Chart(
        key="universe",
        title="Eligible alts",
        x=[str(day)[:10] for day in eligible.index],
        series=[Series("eligible", eligible.astype(float).tolist(), GREEN, "area")],
        y_title="assets",
    )


def regime_spans(timeline: pd.DataFrame) -> list[Span]:
    """Return the stretches of days in one regime; BALANCED is left blank."""
    regimes = timeline["regime"].tolist()
    days = pd.to_datetime(timeline["date"])
    spans, first = [], 0
    for i in range(1, len(regimes) + 1):
        if i < len(regimes) and regimes[i] == regimes[first]:
            continue
        regime = Regime(regimes[first])
        if regime in REGIME_COLORS:
            end = days.iloc[i - 1] + pd.Timedelta(days=1)
            spans.append(
                Span(
                    f"{days.iloc[first]:%Y-%m-%d}",
                    f"{end:%Y-%m-%d}",
                    REGIME_COLORS[regime],
                    regime_words(regime),
                )
            )
        first = i
    return spans
