"""The comparison of a sweep's members as one small page and as plain text.

The deflated figures stand first: the best of many is not what it looks like. Every string is
escaped, so a value that came in through the form cannot become markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

import pandas as pd

SHOWN: Final = (
    "deflated_sharpe psr sharpe sharpe_ci_low sharpe_ci_high cagr volatility max_drawdown "
    "avg_turnover cost_drag funding_drag"
).split()


def comparison_text(
    plan: Mapping[str, Any], board: pd.DataFrame, verdict: Mapping[str, Any]
) -> str:
    """Return the comparison as lines of at most a few figures."""
    params = plan["params"]
    lines = [
        f"Backtest {plan['sweep_id']}, {params['start']} to {params['end']}",
        f"{verdict['n_members']} members over {verdict['n_days']} days",
        *_verdict_lines(verdict),
        "",
    ]
    for row in board.to_dict("records"):
        figures = "  ".join(f"{name} {_number(row.get(name))}" for name in SHOWN)
        lines.append(f"{row['member']}: {figures}")
    return "\n".join(lines) + "\n"


def comparison_html(
    plan: Mapping[str, Any], board: pd.DataFrame, verdict: Mapping[str, Any]
) -> str:
    """Return the comparison as one self-contained page without a script."""
    params = plan["params"]
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("member", *SHOWN))
    rows = "\n".join(
        f"<tr><td>{escape(str(row['member']))}</td>"
        + "".join(f"<td>{_number(row.get(name))}</td>" for name in SHOWN)
        + "</tr>"
        for row in board.to_dict("records")
    )
    said = "".join(f"<p>{escape(line)}</p>" for line in _verdict_lines(verdict))
    title = escape(f"Backtest {plan['sweep_id']}, {params['start']} to {params['end']}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>body{{font:14px sans-serif}}"
        "td,th{padding:2px 8px;text-align:right}td:first-child{text-align:left}</style></head>\n"
        f"<body><h1>{title}</h1>{said}\n<table><tr>{heads}</tr>\n{rows}\n</table></body></html>\n"
    )


def _verdict_lines(verdict: Mapping[str, Any]) -> list[str]:
    return [
        f"Probability of backtest overfitting (PBO): {_number(verdict.get('pbo'))}",
        f"Superior predictive ability (SPA) p-value: {_number(verdict.get('spa_p'))}",
    ]


def _number(value: Any) -> str:
    """Return a figure with four digits, or a dash where it is not defined.

    Examples
    --------
    >>> _number(0.12345), _number(None), _number(float("nan"))
    ('0.1235', '-', '-')
    """
    return "-" if value is None or pd.isna(value) else f"{float(value):.4f}"
