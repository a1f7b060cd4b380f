"""The page of a run: one self-contained HTML file that opens from disk.

Flow: ``RunTables -> view -> templates/dashboard.html.j2``. The template only places
what the view holds; every number is formatted in ``formatting.py``, every chart specified in
``report_charts.py``. Jinja escapes every string, vendors' names included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from majors_alts_monitor.outputs import RunTables
from majors_alts_monitor.report.charts import Chart, Heat, key_of, to_json, to_plotly
from majors_alts_monitor.report.evidence import caveats, evidence, funding_missing, notices
from majors_alts_monitor.report.formatting import bps, number, percent, regime_words, variant_words
from majors_alts_monitor.report.report_charts import charts
from majors_alts_monitor.report.vintage_gap import SHOWN, gap_rows, gap_sentence

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


def render_dashboard(run: RunTables) -> str:
    """Return ``dashboard.html``."""
    from plotly.offline import get_plotlyjs

    sections = charts(run)
    template = environment().get_template("dashboard.html.j2")
    return template.render(
        **view(run),
        plotly_js=Markup(get_plotlyjs()),  # noqa: S704 - the library's own script
        charts=sections,
        key_of=key_of,
        evidence=evidence(run),
        months=MONTHS,
        month_rows=month_rows(run.tables["bt_equity_curve"]),
        robustness_rows=robustness_rows(run),
        gap_heads=[label.capitalize() if label.islower() else label for label, _, _ in SHOWN],
        gap_rows=gap_rows(run),
        freshness_rows=freshness_rows(run),
        config_rows=list(flat(run.manifest["config"]).items()),
        figures=Markup(figures(sections)),  # noqa: S704 - numbers and escaped text
    )


def figures(sections: Mapping[str, Sequence[Chart | Heat]]) -> str:
    """Return every figure as JSON: ``axes``, and by key ``data`` with an axis' number as ``x``.

    Most charts share their days; writing them once keeps three years of charts in a page.
    """
    axes: dict[tuple[str, ...], int] = {}
    shown: dict[str, Any] = {}
    for chart in (chart for found in sections.values() for chart in found):
        figure = to_plotly(chart)
        number_of = axes.setdefault(tuple(chart.x), len(axes))
        for trace in figure["data"]:
            trace["x"] = number_of
        shown[chart.key] = {**figure, "dated": chart.is_dated}
    return to_json({"axes": [list(axis) for axis in axes], "figures": shown})


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
            (
                major,
                number(kpis[f"realised_beta_{key}"], 3),
                interval(kpis, f"realised_beta_{key}", 3),
            )
            for major, key in (("BTC", "btc"), ("ETH", "eth"))
        ],
        "neutrality_rows": neutrality_rows(kpis),
        "regime_rows": run.tables["regime_metrics"].to_dict("records"),
        "parts": contribution_rows(signal),
        "notices": notices(run),
        "health_rows": health_rows(run),
        "change_line": change_line(run),
        "gap_sentence": gap_sentence(run),
        "caveats": caveats(run),
    }


def neutrality_rows(kpis: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the returns say about the hedge beyond the realised betas."""
    if "size_loading" not in kpis:
        return []
    rows = []
    for major, key in (("BTC", "btc"), ("ETH", "eth")):
        slope = f"{number(kpis[f'beta_slope_{key}'])} {interval(kpis, f'beta_slope_{key}')}"
        rows.append((f"Realised on forecast beta to {major} (1 is calibrated)", slope))
        share = percent(kpis[f"quarters_neutral_{key}"], 0)
        rows.append((f"Quarters with a book that were neutral to {major}", share))
    loading = f"{number(kpis['size_loading'], 3)} {interval(kpis, 'size_loading', 3)}"
    # Long majors against short ALTs is largely a bet on size, and no hedge of two betas removes it.
    return [*rows, ("Loading on size (small minus large ALTs), not hedged", loading)]


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


def change_line(run: RunTables) -> str:
    """Return what is new since the day before: regime, score, and what the book trades."""
    signal, timeline = run.signal, run.tables["regime_timeline"]
    if len(timeline) < 2:
        return "First day reported: there is no day before."
    before = timeline.iloc[-2]
    is_new = before["regime"] != signal["regime"]
    regime = (
        f"regime changed from {regime_words(before['regime'])}" if is_new else "regime unchanged"
    )
    score = _float(before["score"])
    moved = None if score is None or signal["score"] is None else signal["score"] - score
    held, wanted = signal["current_weights"], signal["target_weights"]
    traded = sum(abs(wanted.get(a, 0.0) - held.get(a, 0.0)) for a in sorted({*held, *wanted}))
    return (
        f"Since the day before: {regime}, score moved by {number(moved, signed=True)}, "
        f"{percent(traded)} of NAV to trade."
    )


def sharpe_line(kpis: Mapping[str, Any]) -> str:
    """Return the Sharpe ratio with everything it must not be shown without."""
    return (
        f"Sharpe {number(kpis['sharpe'])}, 95% interval {interval(kpis, 'sharpe')}, "
        f"PSR {number(kpis['psr'])}, deflated {number(kpis['deflated_sharpe'])} "
        f"after {kpis['trials']} trial{'s' if kpis['trials'] != 1 else ''}, "
        f"{kpis['n_days']} days"
    )


def interval(kpis: Mapping[str, Any], name: str, digits: int = 2) -> str:
    """Return the 95 % interval of a figure as text."""
    low, high = kpis[f"{name}_ci_low"], kpis[f"{name}_ci_high"]
    return f"[{number(low, digits)}, {number(high, digits)}]"


def month_rows(curve: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Return one row a year: twelve months and the year, as percent."""
    # Imported here: with it comes scipy, which no mail needs.
    from majors_alts_monitor.kpis import monthly_returns

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
    missing = funding_missing(run.tables["bt_positions"])
    if missing is not None:
        rows.append(("Positions held without a funding rate", percent(missing)))
    return rows


def freshness_rows(run: RunTables) -> list[dict[str, str]]:
    """Return each fact table's newest day, coverage, knowledge and revisions; empty without."""
    table = run.tables.get("data_health")
    if table is None:
        return []
    return [
        {
            "table": str(row["table"]),
            "newest": str(row["newest_day"])[:10],
            "age": "today" if row["age_days"] == 0 else f"{number(row['age_days'], 0)} days old",
            "is_late": "late" if row["age_days"] != 0 else "",
            "rows": f"{row['rows']:,}",
            "assets": f"{row['assets_today']} of {row['assets_week']}",
            "observed": percent(row["share_observed"]),
            "assumed": percent(1 - row["share_observed"]),
            "revised": f"{row['revised']:,}",
        }
        for row in table.to_dict("records")
    ]


def contribution_rows(signal: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the groups of today's score, the strongest first, and what each says."""
    known = sorted(
        signal["contributions"],
        key=lambda part: (-abs(part["contribution"] or 0.0), part["group"]),
    )
    return [
        {
            "group": part["group"].replace("_", " "),
            "direction": f"{part['direction']:+d}",
            "z": number(part["z"], 2, signed=True),
            "weight": percent(part["weight"], 0),
            "contribution": number(part["contribution"], 3, signed=True),
            "says": _says(part["contribution"]),
        }
        for part in known
    ]


def _says(contribution: float | None) -> str:
    if contribution is None:
        return "missing"
    return "majors" if contribution > 0 else "alts" if contribution < 0 else "neither"


def robustness_rows(run: RunTables) -> list[list[str]]:
    """Return the rows of ``robustness.csv``, formatted; empty where the run has none."""
    table = run.tables.get("robustness")
    if table is None:
        return []
    return [
        [
            str(row["part"]),
            variant_words(str(row["variant"])) + (" (configured)" if row["is_configured"] else ""),
            number(row["sharpe"]),
            f"[{number(row['sharpe_low'])}, {number(row['sharpe_high'])}]",
            percent(row["total_return"]),
            percent(row["max_drawdown"]),
        ]
        for row in table.to_dict("records")
    ]


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return a configuration as dotted keys, in the order of their names, and values as text.

    One read back from a manifest has its keys in another order than that of the YAML file.

    Examples
    --------
    >>> flat({"c": None, "a": {"b": 1}})
    {'a.b': '1', 'c': 'None'}
    """
    found: dict[str, str] = {}
    for key, value in sorted(config.items()):
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = str(value)
    return found


def _times(weight: float, beta: float | None) -> float | None:
    return None if beta is None else weight * beta


def _float(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
