"""The comparison of a sweep's members as one small page and as plain text, for a mail.

The deflated figures stand first: the best of many is not what it looks like. Labels, numbers and
verdict are those of ``comparison_page``. A synthetic market is named before anything else. Every
string is escaped, so a value that came in through the form cannot become markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

import pandas as pd

from majors_alts_monitor.report.comparison_page import COLUMNS, board_rows, verdict_lines

LABELS: Final = tuple(label for label, _ in COLUMNS.values())
STYLE: Final = (
    ":root{color-scheme:light dark}body{font:15px/1.5 sans-serif;margin:16px}"
    "h1{font-size:1.3em;overflow-wrap:anywhere}table{border-collapse:collapse}"
    "td,th{padding:3px 8px;text-align:right;border-bottom:1px solid #8884}"
    ".banner{background:#d55e00;color:#000;font-weight:bold;padding:8px 16px;text-align:center}"
    "td:first-child,th:first-child{text-align:left;overflow-wrap:anywhere;min-width:9em}"
    ".scroll{overflow-x:auto}img{max-width:100%;height:auto}"
)
SYNTHETIC: Final = "SYNTHETIC market: nothing here is real"


def comparison_text(
    plan: Mapping[str, Any], board: pd.DataFrame, verdict: Mapping[str, Any]
) -> str:
    """Return the comparison as lines: what the tries do to the best, then one a member."""
    lines = [_title(plan), "", *verdict_lines(verdict), ""]
    if verdict.get("is_synthetic"):
        lines = [SYNTHETIC.upper(), "", *lines]
    for rank, (member, figures) in enumerate(board_rows(board), start=1):
        named = zip(LABELS, figures, strict=True)
        lines += [
            f"{rank}. {member}",
            "   " + ", ".join(f"{name} {value}" for name, value in named),
        ]
    return "\n".join(lines) + "\n"


def comparison_html(
    plan: Mapping[str, Any], board: pd.DataFrame, verdict: Mapping[str, Any]
) -> str:
    """Return the comparison as one self-contained page without a script."""
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("Member", *LABELS))
    rows = "\n".join(
        f"<tr><td>{escape(member)}</td>"
        + "".join(f"<td>{escape(value)}</td>" for value in figures)
        + "</tr>"
        for member, figures in board_rows(board)
    )
    said = "".join(f"<p>{escape(line)}</p>" for line in verdict_lines(verdict))
    title = escape(_title(plan))
    is_synthetic = verdict.get("is_synthetic")
    banner = f'<p class="banner" role="alert">{SYNTHETIC}</p>' if is_synthetic else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}{' - SYNTHETIC' if is_synthetic else ''}</title>"
        f"<style>{STYLE}</style></head>\n"
        f"<body>{banner}<h1>{title}</h1>{said}\n"
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>\n{rows}\n</tbody></table></div></body></html>\n"
    )


def _title(plan: Mapping[str, Any]) -> str:
    params = plan["params"]
    return f"Backtest {plan['sweep_id']}, {params['start']} to {params['end']}"
