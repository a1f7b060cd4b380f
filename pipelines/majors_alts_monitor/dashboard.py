"""The page of a run: one self-contained HTML file that opens from disk.

Flow: ``RunTables, contributions -> view -> templates/dashboard.html.j2``. The template only places
what the view holds; every number is formatted in ``formatting.py``, every chart specified in
``report_charts.py``. Jinja escapes every string, vendors' names included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from majors_alts_monitor.charts import to_json
from majors_alts_monitor.formatting import bps, number, percent, regime_words
from majors_alts_monitor.kpis import monthly_returns
from majors_alts_monitor.outputs import RunTables
from majors_alts_monitor.report_charts import charts

MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

KPI_ROWS: Final = (
    ("Sharpe (365 days)", "sharpe", number),
    ("Total return", "total_return", percent),
    ("CAGR", "cagr", percent),
    ("Volatility", "volatility", percent),
    ("Maximum drawdown", "max_drawdown", percent),
    ("Sortino", "sortino", number),
    ("Calmar", "calmar", number),
    ("Hit rate, days with a book", "hit_rate", percent),
    ("Share of days with a book", "exposure_share", percent),
    ("Mean daily turnover", "avg_turnover", percent),
    ("Costs a year", "cost_drag", percent),
    ("Funding paid a year", "funding_drag", percent),
)


def environment() -> Environment:
    """Return the Jinja environment of every page and mail."""
    env = Environment(
        loader=PackageLoader("majors_alts_monitor"),
        autoescape=select_autoescape(["html", "html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters |= {"percent": percent, "number": number, "bps": bps, "regime": regime_words}
    return env


def render_dashboard(run: RunTables, contributions: pd.DataFrame) -> str:
    """Return ``dashboard.html``; ``contributions`` by date over the range, a column a group."""
    from plotly.offline import get_plotlyjs

    template = environment().get_template("dashboard.html.j2")
    return template.render(
        **view(run),
        plotly_js=Markup(get_plotlyjs()),  # noqa: S704 - the library's own script
        charts=[
            {"spec": chart, "json": Markup(to_json(chart))}  # noqa: S704 - numbers and escaped text
            for chart in charts(run, contributions)
        ],
    )


def view(run: RunTables) -> dict[str, Any]:
    """Return what page and mail show, formatted; numbers equal those of the tables."""
    signal, kpis, manifest = run.signal, run.kpis, run.manifest
    return {
        "signal": signal,
        "kpis": kpis,
        "manifest": manifest,
        "is_synthetic": manifest["is_synthetic"],
        "book": book_rows(signal),
        "kpi_rows": [(label, show(kpis[key])) for label, key, show in KPI_ROWS],
        "sharpe_line": sharpe_line(kpis),
        "beta_rows": [
            (major, number(kpis[f"realised_beta_{key}"], 3), interval(kpis, f"realised_beta_{key}"))
            for major, key in (("BTC", "btc"), ("ETH", "eth"))
        ],
        "regime_rows": run.tables["regime_metrics"].to_dict("records"),
        "months": MONTHS,
        "month_rows": month_rows(run.tables["bt_equity_curve"]),
        "health_rows": health_rows(run),
        "caveats": caveats(run),
    }


def book_rows(signal: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the target book, longs first, with each weight's share of both betas."""
    rows = []
    weights = sorted(signal["target_weights"].items(), key=lambda item: (-item[1], item[0]))
    for asset, weight in weights:
        betas = signal["betas"].get(asset, {})
        held = signal["current_weights"].get(asset, 0.0)
        rows.append(
            {
                "asset": asset,
                "weight": percent(weight, 2, signed=True),
                "change": percent(weight - held, 2, signed=True),
                "to_btc": number(_times(weight, betas.get("BTC")), 3, signed=True),
                "to_eth": number(_times(weight, betas.get("ETH")), 3, signed=True),
            }
        )
    return rows


def sharpe_line(kpis: Mapping[str, Any]) -> str:
    """Return the Sharpe ratio with everything it must not be shown without."""
    return (
        f"Sharpe {number(kpis['sharpe'])}, 95% interval {interval(kpis, 'sharpe')}, "
        f"PSR {number(kpis['psr'])}, deflated {number(kpis['deflated_sharpe'])} "
        f"after {kpis['trials']} trial{'s' if kpis['trials'] != 1 else ''}, "
        f"{kpis['n_days']} days"
    )


def interval(kpis: Mapping[str, Any], name: str) -> str:
    """Return the 95 % interval of a figure as text."""
    return f"[{number(kpis[f'{name}_ci_low'])}, {number(kpis[f'{name}_ci_high'])}]"


def month_rows(curve: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Return one row a year: twelve months and the year, as percent."""
    returns = pd.Series(
        curve["r_ls_net"].to_numpy(), index=pd.DatetimeIndex(pd.to_datetime(curve["date"]))
    )
    table = monthly_returns(returns)
    return [
        (str(year), [percent(value, 1) if pd.notna(value) else "" for value in row])
        for year, row in zip(table.index, table.to_numpy(), strict=True)
    ]


def health_rows(run: RunTables) -> list[tuple[str, str]]:
    """Return what is known about the data behind the run."""
    manifest, features = run.manifest, run.tables["features_wide"]
    last = features.iloc[-1]
    rows = [
        ("Data status", str(run.signal["data_status"])),
        ("Lake", f"{manifest['first_day']} to {manifest['last_day']}"),
        ("Days with all eight groups", percent(features["valid"].astype(float).mean())),
        ("Knowledge assumed, whole lake", percent(manifest["share_assumed"])),
        ("Knowledge assumed, last day", percent(_float(last["share_assumed"]))),
        ("Funded alts with open interest, last day", percent(_float(last["funding_oi_coverage"]))),
    ]
    rows += [
        (f"Rows of {name}", f"{entry['rows']:,}") for name, entry in manifest["inputs"].items()
    ]
    return rows


def caveats(run: RunTables) -> list[str]:
    """Return what may be wrong with this run, in words."""
    kpis, manifest = run.kpis, run.manifest
    config = manifest["config"]
    said = []
    low, high = kpis["sharpe_ci_low"], kpis["sharpe_ci_high"]
    if low is not None and high is not None and low < 0 < high:
        said.append("The interval of the Sharpe ratio holds 0: the sample does not show an edge.")
    if manifest["share_assumed"] > 0.5:
        said.append(
            "Most values were back-filled: when they were known is assumed, and revisions made "
            "before they were fetched cannot be seen."
        )
    if not config["costs"]["impact_coefficient"]:
        said.append("Market impact is switched off; costs grow with the size of the account.")
    if not config["regime"]["calibration"]["enabled"]:
        said.append("Weights and thresholds are the configured ones; nothing was calibrated.")
    if config["execution"]["lag_days"] == 0:
        said.append("Execution lag is 0: a diagnostic that cannot be traded.")
    if config["features"]["vintage"] == "latest":
        said.append("Vintage is latest: this run knows revisions before they were made.")
    said.append(
        "Long majors against short alts is largely a bet on size; it loses when small coins rally."
    )
    return said


def _times(weight: float, beta: float | None) -> float | None:
    return None if beta is None else weight * beta


def _float(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
