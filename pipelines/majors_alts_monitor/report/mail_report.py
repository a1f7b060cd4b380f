"""The daily mail: subject, HTML for a phone, plain text, three pictures.

Flow: ``run folder -> mail folder (subject.txt, email.html, email.txt, charts/*.png)``. The numbers
are those of the page, from the same view; the HTML holds no script and stays under 100 KB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from majors_alts_monitor import outputs
from majors_alts_monitor.outputs import RunTables
from majors_alts_monitor.report.charts import Chart, drawn
from majors_alts_monitor.report.dashboard import environment, view
from majors_alts_monitor.report.formatting import number, percent, regime_words
from majors_alts_monitor.report.report_charts import mail_charts
from majors_alts_monitor.report.static_charts import to_png
from pipeline_kit import atomic, paths


def write_mail(run_folder: Path, mail_folder: Path, address: str, warnings: list[str]) -> None:
    """Write the mail of a run.

    Parameters
    ----------
    run_folder : Path
        A finished run.
    mail_folder : Path
        Where the parts go; earlier ones are replaced.
    address : str
        Where the run will be published, for the links.
    warnings : list of str
        Warnings of the gates, shown and counted in the subject.
    """
    run = outputs.read_run(run_folder)
    pictures = mail_charts(run)
    shown = {
        **view(run),
        "address": address,
        "warnings": warnings,
        "pictures": [(f"{chart.key}.png", alt_text(chart)) for chart in pictures],
        "held_back": held_back(),
    }
    env = environment()
    for name in ("email.html", "email.txt"):
        text = env.get_template(f"{name}.j2").render(**shown)
        atomic.write_text(mail_folder / name, text)
    atomic.write_text(mail_folder / "subject.txt", subject(run, warnings) + "\n")
    for chart in pictures:
        atomic.write_bytes(mail_folder / "charts" / f"{chart.key}.png", to_png(chart))


def alt_text(chart: Chart) -> str:
    """Return what the picture shows, in numbers, for whoever has pictures blocked.

    Examples
    --------
    >>> from majors_alts_monitor.report.charts import BLUE, Series
    >>> alt_text(Chart("k", "Equity", ["2024-01-01", "2024-01-02"],
    ...     [Series("strategy", [1.0, 1.25], BLUE)], "start = 1"))
    'Equity, 2024-01-01 to 2024-01-02: strategy 1.25 (from 1.00 to 1.25).'
    """
    show = percent if chart.is_percent else number
    said = []
    for series in chart.series:
        known = [v for v in drawn(series.values) if v is not None]
        if known and series.kind == "marker":
            said.append(f"{len(known)} days of {series.name}")
        elif known:
            reach = f"(from {show(min(known))} to {show(max(known))})"
            said.append(f"{series.name} {show(known[-1])} {reach}")
    days = f"{chart.x[0]} to {chart.x[-1]}" if chart.x else "no day"
    return f"{chart.title}, {days}: {', '.join(said) or 'nothing to draw'}."


def held_back() -> int:
    """Return how many rows gate 1 holds in quarantine, all days together."""
    import pyarrow.parquet as pq

    files = sorted(paths.quarantine_dir().glob("*.parquet"))
    return sum(pq.read_metadata(file).num_rows for file in files)


def subject(run: RunTables, warnings: list[str]) -> str:
    """Return the subject line: state, day, regime, score, decision.

    A mail that is marked FAIL carries no signal and is written elsewhere.
    """
    signal: Any = run.signal
    is_worrying = bool(warnings) or signal["data_status"] != "ok"
    is_new = signal["previous_regime"] not in (None, signal["regime"])
    parts = [
        "[WARN]" if is_worrying else "[OK]",
        "SYNTHETIC" if run.manifest["is_synthetic"] else "",
        signal["asof"],
        regime_words(signal["regime"]),
        f"(was {regime_words(signal['previous_regime'])})" if is_new else "",
        number(signal["score"], 2, signed=True),
        f"{signal['action']}, gross {percent(signal['gross_exposure'], 0)}",
        f"data {signal['data_status']}" if signal["data_status"] != "ok" else "",
        f"({len(warnings)} warning{'s' if len(warnings) != 1 else ''})" if warnings else "",
    ]
    return " ".join(part for part in parts if part)
