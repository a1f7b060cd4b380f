"""The daily mail: subject, HTML for a phone, plain text, three pictures.

Flow: ``run folder -> mail folder (subject.txt, email.html, email.txt, charts/*.png)``. The numbers
are those of the page, from the same view; the HTML holds no script and stays under 100 KB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from majors_alts_monitor import outputs
from majors_alts_monitor.charts import to_png
from majors_alts_monitor.dashboard import environment, view
from majors_alts_monitor.formatting import number, regime_words
from majors_alts_monitor.outputs import RunTables
from majors_alts_monitor.report_charts import mail_charts
from pipeline_kit import atomic


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
        "pictures": [(f"{chart.key}.png", chart.title) for chart in pictures],
    }
    env = environment()
    for name in ("email.html", "email.txt"):
        text = env.get_template(f"{name}.j2").render(**shown)
        atomic.write_text(mail_folder / name, text)
    atomic.write_text(mail_folder / "subject.txt", subject(run, warnings) + "\n")
    for chart in pictures:
        atomic.write_bytes(mail_folder / "charts" / f"{chart.key}.png", to_png(chart))


def subject(run: RunTables, warnings: list[str]) -> str:
    """Return the subject line: state, day, regime, score, decision.

    A mail that is marked FAIL carries no signal and is written elsewhere.
    """
    signal: Any = run.signal
    is_worrying = bool(warnings) or signal["data_status"] != "ok"
    parts = [
        "[WARN]" if is_worrying else "[OK]",
        "SYNTHETIC" if run.manifest["is_synthetic"] else "",
        signal["asof"],
        regime_words(signal["regime"]),
        number(signal["score"], 2, signed=True),
        f"{signal['action']}, gross {signal['gross_exposure']:.0%}",
        f"({len(warnings)} warnings)" if warnings else "",
    ]
    return " ".join(part for part in parts if part)
