"""The package's own documents: what is generated is fresh, what is listed is there and complete."""

import re
from pathlib import Path

from majors_alts_monitor.__main__ import offer
from majors_alts_monitor.config import effective_values, load_config
from majors_alts_monitor.features import FEATURES
from majors_alts_monitor.types import GROUPS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipelines" / "majors_alts_monitor"
STUDIES = {
    "compare_monitors_simple",
    "compare_baseline_vs_enhanced",
    "basket_sizes",
    "risk_management",
    "beta_estimators",
    "analyze_backtest_results",
}


def leaves(values):
    """Return how many values a nested mapping holds."""
    return sum(leaves(v) if isinstance(v, dict) else 1 for v in values.values())


def counts():
    """Return the line of numbers in the summary, as it should be."""
    models = list((ROOT / "dbt_project" / "models").rglob("*.sql"))
    marts = [path for path in models if path.parent.name == "marts"]
    values = leaves(effective_values(load_config()))
    return (
        f"{len(FEATURES)} features in {len(GROUPS)} groups, from {len(models)} dbt models of which "
        f"{len(marts)} are marts; {values} values of configuration."
    )


def test_the_offer_names_every_study_of_the_contract_and_both_main_commands():
    named = set(re.findall(r"python -m majors_alts_monitor\.(?:studies\.)?(\w+)", offer()))

    assert {*STUDIES, "run", "signals", "audit", "reproduce"} <= named


def test_every_module_that_can_be_run_is_offered():
    runnable = {
        path.stem
        for path in PACKAGE.rglob("*.py")
        if '__name__ == "__main__"' in path.read_text("utf-8") and path.stem != "__main__"
    }

    assert runnable == set(re.findall(r"\.(\w+)  +", offer()))


def test_the_readme_shows_what_the_package_prints():
    shown = "".join(f"    {line}\n" if line else "\n" for line in offer().splitlines())

    assert shown in (PACKAGE / "README.md").read_text("utf-8")


def test_the_readme_maps_every_module_and_no_other():
    text = (PACKAGE / "README.md").read_text("utf-8")
    named = set(re.findall(r"`(\w+\.py)`", text))
    parts = {path.name for path in (PACKAGE / "studies").glob("*.py")}
    there = {path.name for path in PACKAGE.rglob("*.py") if path.parent.name != "studies"}
    there -= {"__init__.py", "__main__.py"}
    commands = {f"{name}.py" for name in re.findall(r"studies\.(\w+)  +", offer())}

    assert there - named == set()
    assert named - there == parts - commands - {"__init__.py"}


def test_the_counts_of_the_summary_are_those_of_the_code():
    text = (PACKAGE / "IMPLEMENTATION_SUMMARY.md").read_text("utf-8")

    assert f"<!-- counts begin -->\n{counts()}\n<!-- counts end -->" in text
