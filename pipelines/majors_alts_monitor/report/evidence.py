"""What the run's own tests say, in words: signs, gate, regimes, and what may be wrong.

Flow: ``RunTables -> evidence, caveats``. Every sentence follows from a number of a run's table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from majors_alts_monitor.outputs import RunTables
from majors_alts_monitor.report.formatting import number, percent, regime_words

CONVINCING: Final = 0.05
MUCH_FUNDING_MISSING: Final = 0.05
MUCH_ASSUMED: Final = 0.5
RARE_DAYS: Final = 30


def evidence(run: RunTables) -> dict[str, Any] | None:
    """Return the section on signs and chance; null where the run was not evaluated."""
    if "rank_ic" not in run.tables or "gate_value" not in run.tables:
        return None
    return {
        "verdicts": sign_verdicts(run.tables["rank_ic"]),
        "gate": gate_line(run.tables["gate_value"].iloc[0].to_dict()),
        "signs": sign_rows(run.tables["rank_ic"]),
        "forward": forward_rows(run.tables["regime_forward_returns"]),
        "dwell": dwell_rows(run.tables["regime_dwell"]),
    }


def sign_verdicts(table: pd.DataFrame) -> list[str]:
    """Return one sentence for every verdict on the whole range, disagreement first.

    Examples
    --------
    >>> sign_verdicts(pd.DataFrame({"input": ["momentum", "liquidity"], "window": ["all", "all"],
    ...     "horizon_days": [5, 5], "direction": [-1, -1], "verdict": ["disagrees", "unclear"]}))
    ['momentum: the configured direction -1 disagrees with the evidence at 5 days.', \
'No verdict either way: liquidity.']
    """
    whole = table[table["window"].astype(str) == "all"]
    said = []
    for verdict in ("disagrees", "agrees"):
        found = whole[whole["verdict"] == verdict]
        for name, rows in found.groupby("input", sort=False):
            horizons = ", ".join(str(days) for days in rows["horizon_days"])
            said.append(
                f"{_words(name)}: the configured direction {rows['direction'].iloc[0]:+d} "
                f"{verdict} with the evidence at {horizons} days."
            )
    clear = set(whole.loc[whole["verdict"] != "unclear", "input"])
    unclear = [_words(name) for name in dict.fromkeys(whole["input"]) if name not in clear]
    if unclear:
        said.append(f"No verdict either way: {', '.join(unclear)}.")
    return said


def gate_line(gate: Mapping[Any, Any]) -> str:
    """Return what the gate was worth, and how often a gate that knows nothing did as well."""
    p = max(gate["p_shifted"], gate["p_shuffled"])
    verdict = "hard to get by chance" if p < CONVINCING else "not more than chance gives"
    return (
        f"Holding majors over the alt index only in the trading regimes was worth "
        f"{percent(gate['value'], signed=True)} a year after {percent(gate['cost_per_switch'], 2)} "
        f"a switch: {verdict}. Gates with the same dwell times and no knowledge gave "
        f"{percent(gate['placebo_median'], signed=True)} "
        f"[{percent(gate['placebo_low'], signed=True)}, "
        f"{percent(gate['placebo_high'], signed=True)}]; "
        f"p = {number(gate['p_shuffled'], 3)} shuffled, {number(gate['p_shifted'], 3)} shifted. "
        f"{number(gate['switches_per_year'], 1)} changes of regime a year."
    )


def sign_rows(table: pd.DataFrame) -> dict[str, Any]:
    """Return the rank IC of the whole range, one row an input, one cell a horizon."""
    whole = table[table["window"].astype(str) == "all"]
    horizons = sorted(int(days) for days in whole["horizon_days"].unique())
    rows = []
    for name, found in whole.groupby("input", sort=False):
        by_horizon = found.set_index("horizon_days")
        cells = [_sign_cell(by_horizon.loc[days].to_dict()) for days in horizons]
        rows.append((_words(name), f"{by_horizon['direction'].iloc[0]:+d}", cells))
    return {"horizons": horizons, "rows": rows}


def _sign_cell(row: Mapping[Any, Any]) -> dict[str, str]:
    return {
        "value": number(row["rank_ic"], 2, signed=True),
        "range": f"[{number(row['ci_low'])}, {number(row['ci_high'])}]",
        "verdict": row["verdict"],
    }


def forward_rows(table: pd.DataFrame) -> list[dict[str, str]]:
    """Return the forward return by regime and horizon with interval and p-value."""
    return [
        {
            "regime": regime_words(row["regime"]),
            "horizon": f"{row['horizon_days']} days",
            "n_days": str(row["n_days"]),
            "mean": percent(row["mean_return"], 2, signed=True),
            "excess": percent(row["excess_return"], 2, signed=True),
            "range": f"[{percent(row['ci_low'], 2)}, {percent(row['ci_high'], 2)}]",
            "p": number(row["p_value"], 3),
        }
        for row in table.to_dict("records")
    ]


def dwell_rows(table: pd.DataFrame) -> list[dict[str, str]]:
    """Return how long each regime lasted."""
    return [
        {
            "regime": regime_words(row["regime"]),
            "n_spells": str(row["n_spells"]),
            "n_days": str(row["n_days"]),
            "share": percent(row["share_of_days"]),
            "mean": number(row["mean_days"], 1),
            "median": number(row["median_days"], 1),
            "longest": str(row["max_days"]),
        }
        for row in table.to_dict("records")
    ]


def caveats(run: RunTables) -> list[str]:
    """Return what may be wrong with this run, in words."""
    return [
        *_result_caveats(run),
        *_regime_caveats(run),
        *_data_caveats(run),
        *_setup_caveats(run.manifest["config"]),
        "Long majors against short alts is largely a bet on size; it loses when small coins rally.",
    ]


def notices(run: RunTables) -> list[str]:
    """Return what must be read before the decision: stale, degraded, blind or without a trade."""
    signal, timeline = run.signal, run.tables["regime_timeline"]
    return [
        *_status_notices(signal, run.tables.get("data_health")),
        *_funding_notices(run.tables["features_wide"]),
        *_blind_notices(signal, timeline),
        *_idle_notices(run),
    ]


def _status_notices(signal: Mapping[str, Any], health: pd.DataFrame | None) -> list[str]:
    said = []
    if signal["data_status"] == "stale":
        newest = ""
        if health is not None and (prices := health[health["table"] == "fact_price"]).size:
            newest = f" The newest price is of {str(prices['newest_day'].iloc[0])[:10]}."
        said.append(
            f"Data is stale: BTC or ETH has no price on {signal['asof']}.{newest} Nothing here is "
            "a fresh decision."
        )
    missing = [
        _words(part["group"])
        for part in signal["contributions"]
        if part["weight"] > 0 and pd.isna(part["z"])
    ]
    if missing:
        said.append(
            f"Data is degraded: no value today for {', '.join(missing)}. The score is made of the "
            "other groups, their weights scaled up."
        )
    return said


def _funding_notices(features: pd.DataFrame) -> list[str]:
    has_funding = features["has_funding"].fillna(value=False).astype(bool)
    if not has_funding.any():
        return [
            "No funding in this range: positions were charged none, and both funding groups are "
            "missing."
        ]
    if not has_funding.iloc[-1]:
        last = pd.to_datetime(features.loc[has_funding, "date"]).iloc[-1]
        return [f"Funding is missing: the last day with any is {last:%Y-%m-%d}."]
    return []


def _blind_notices(signal: Mapping[str, Any], timeline: pd.DataFrame) -> list[str]:
    blind = timeline["insufficient_data"].astype(bool)
    if blind.all():
        return [
            f"Insufficient data: none of the {len(timeline)} days has a score, so every day counts "
            "as balanced. Features need their 60 days of history first."
        ]
    if blind.iloc[-1]:
        seen = pd.to_datetime(timeline.loc[~blind, "date"]).iloc[-1]
        return [
            f"Insufficient data on {signal['asof']}: the day counts as balanced. The last day with "
            f"a score is {seen:%Y-%m-%d}."
        ]
    return []


def _idle_notices(run: RunTables) -> list[str]:
    if (run.tables["bt_daily_pnl"]["total_gross"] != 0).any():
        return []
    regimes = run.tables["regime_timeline"]["regime"].astype(str)
    n_open = int(regimes.str.endswith("RISK_ON_MAJORS").sum())
    if n_open:
        return [
            f"No trade yet: {n_open} of {len(regimes)} days favoured majors, and no book was held "
            "on any; the reasons of the day and the table of the universe say why."
        ]
    return [
        f"No trade yet: none of the {len(regimes)} days favoured majors, and the strategy holds "
        "a book in no other regime."
    ]


def _result_caveats(run: RunTables) -> list[str]:
    kpis, said = run.kpis, []
    low, high = kpis["sharpe_ci_low"], kpis["sharpe_ci_high"]
    if low is None or high is None:
        said.append("The Sharpe ratio has no interval: too few days, no trades, or switched off.")
    elif low < 0 < high:
        said.append("The interval of the Sharpe ratio holds 0: the sample does not show an edge.")
    if not kpis["exposure_share"]:
        said.append("No day had a book: every figure of the result is that of cash.")
    for major in ("btc", "eth"):
        low, high = (kpis[f"realised_beta_{major}_ci_{end}"] for end in ("low", "high"))
        if low is not None and high is not None and not low <= 0 <= high:
            said.append(
                f"The book was not neutral to {major.upper()}: realised beta "
                f"{number(kpis[f'realised_beta_{major}'], 3, signed=True)}, "
                f"interval [{number(low, 3)}, {number(high, 3)}]."
            )
    return said


def _regime_caveats(run: RunTables) -> list[str]:
    timeline, said = run.tables["regime_timeline"], []
    if "rank_ic" in run.tables:
        said += [line for line in sign_verdicts(run.tables["rank_ic"]) if "disagrees" in line]
    if "gate_value" in run.tables:
        gate = run.tables["gate_value"].iloc[0]
        p = max(gate["p_shifted"], gate["p_shuffled"])
        if p >= CONVINCING:
            said.append(f"Gates that know nothing do as well as this one in {percent(p)} of cases.")
    n_strong = int(timeline["regime"].astype(str).str.startswith("STRONG").sum())
    if n_strong < RARE_DAYS and run.manifest["config"]["regime"]["n_regimes"] != 3:
        said.append(
            f"Strong regimes are rare: {n_strong} of {len(timeline)} days. "
            "What is said about them rests on little."
        )
    n_blind = int(timeline["insufficient_data"].astype(bool).sum())
    if n_blind:
        said.append(f"On {n_blind} days too few features were there to judge the regime.")
    return said


def _data_caveats(run: RunTables) -> list[str]:
    manifest, said = run.manifest, []
    if run.signal["data_status"] != "ok":
        said.append(f"Data of the last day is {run.signal['data_status']}.")
    missing = funding_missing(run.tables["bt_positions"])
    if missing is not None and missing > MUCH_FUNDING_MISSING:
        said.append(
            f"Funding is missing for {percent(missing)} of the positions held; "
            "they were charged nothing."
        )
    if manifest["share_assumed"] > MUCH_ASSUMED:
        said.append(
            "Most values were back-filled: when they were known is assumed, and revisions made "
            "before they were fetched cannot be seen."
        )
    return said


def _setup_caveats(config: Mapping[str, Any]) -> list[str]:
    said = []
    if not config["costs"]["impact_coefficient"]:
        said.append("Market impact is switched off; costs grow with the size of the account.")
    if not config["regime"]["calibration"]["enabled"]:
        said.append("Weights and thresholds are the configured ones; nothing was calibrated.")
    if config["execution"]["lag_days"] == 0:
        said.append("Execution lag is 0: a diagnostic that cannot be traded.")
    if config["features"]["vintage"] == "latest":
        said.append("Vintage is latest: this run knows revisions before they were made.")
    return said


def funding_missing(positions: pd.DataFrame) -> float | None:
    """Return the share of held positions whose day had no funding rate; null without any."""
    held = positions[positions["weight_open"] != 0]
    return float(held["funding_rate"].isna().mean()) if len(held) else None


def _words(name: object) -> str:
    return str(name).replace("_", " ")
