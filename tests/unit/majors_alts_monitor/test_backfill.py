"""What a backfill's form may say, and what its report may show."""

import pandas as pd
import pytest

from majors_alts_monitor.backfill import plan_backfill, sweep_folder
from majors_alts_monitor.backfill_params import MOST_RUNS, read_params
from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.report.comparison_report import comparison_html, comparison_text
from majors_alts_monitor.sweep import expand

RANGE = {"start": "2024-01-01", "end": "2024-01-31"}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"overides": {}}, "no param overides; did you mean overrides?"),
        ({"dryrun": True}, "no param dryrun; did you mean dry_run?"),
        ({"zzz": 1}, "no param zzz; known: start, end"),
        ({"start": "2024-02-01"}, "start 2024-02-01 is after end 2024-01-31"),
        ({"start": "yesterday"}, "start: "),
        ({"max_runs": 0}, "max_runs: "),
        ({"max_runs": MOST_RUNS + 1}, "max_runs: "),
        ({"sweep": {"universe.basket_size": []}}, "an empty list runs nothing"),
        (
            {"sweep": {"costs.slippage_bps": [1]}, "overrides": {"costs.slippage_bps": 2}},
            "in overrides and in sweep; keep one",
        ),
        ({"email_to": ["nobody"]}, "'nobody' is not a mail address"),
        ({"email_to": ["a@b.example\nBcc: x@y.example"]}, "is not a mail address"),
        ({"email_to": ["a@b.example,x@y.example"]}, "is not a mail address"),
        ({"email_to": ["@"]}, "'@' is not a mail address"),
        ({"config": "../../../../etc/shadow"}, "is not the name of a .yaml file"),
        ({"config": "/etc/\0.yaml"}, "is not the name of a .yaml file"),
        ({"overrides": {"regime.hysteresis_band": float("nan")}}, "overrides.regime.hysteresis"),
        ({"sweep": {"costs.slippage_bps": [1, float("inf")]}}, "NaN and infinity are not settings"),
        ({"overrides": {"outputs.cache_dir": "../../etc"}}, "must stay below the data folder"),
        ({"sweep": {"outputs.reports_dir": ["/etc"]}}, "must stay below the data folder"),
    ],
)
def test_a_wrong_form_is_refused_in_words(extra, words):
    with pytest.raises(ConfigError) as caught:
        read_params(RANGE | extra)

    assert words in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_misspelt_key_of_the_configuration_names_the_nearest():
    with pytest.raises(ConfigError, match=r"basket_siz.*did you mean.*universe\.basket_size"):
        expand(None, [], {"universe.basket_siz": [10]})


def test_a_value_written_in_two_ways_is_one_member_too_many():
    with pytest.raises(ConfigError, match=r"basket_size=5 and .*=5\.0 are one configuration"):
        expand(None, [], {"universe.basket_size": [5, 5.0]})


def test_a_long_member_name_stays_one_short_path_component():
    lists = {"universe.exclude_assets": [[f"ASSET{i}/.." for i in range(40)]]}

    (member,) = expand(None, [], lists)

    assert len(member.name) < 140
    assert "/" not in member.name


@pytest.mark.parametrize("sweep_id", ["../..", "a/b", "", "a.b"])
def test_no_sweep_id_leaves_its_folder(sweep_id):
    with pytest.raises(ConfigError, match="not one of ours"):
        sweep_folder(sweep_id)


def test_a_sweep_over_its_cap_is_refused_before_it_is_expanded(tmp_path, monkeypatch):
    from tests.fixtures.lakes import make_lake

    monkeypatch.setenv("MAM_DATA_DIR", str(tmp_path))
    make_lake(tmp_path / "curated" / "data_lake", seed=1, n_assets=3, n_days=40)
    lists = {key: list(range(1, 400)) for key in ("universe.basket_size", "beta.lookback_days")}
    lists |= {"universe.min_names": list(range(1, 400)), "beta.min_days": list(range(1, 400))}
    span = {"start": "2023-01-10", "end": "2023-01-20"}

    with pytest.raises(ConfigError, match="members, max_runs is 64"):
        plan_backfill(span | {"sweep": lists})


def test_the_comparison_escapes_every_string_and_shows_the_deflated_figure_first():
    plan = {"sweep_id": "x", "params": RANGE}
    board = pd.DataFrame([{"member": "<script>alert(1)</script>", "deflated_sharpe": 0.25}])
    verdict = {"n_members": 1, "n_days": 31, "pbo": None, "spa_p": None}

    page, text = comparison_html(plan, board, verdict), comparison_text(plan, board, verdict)

    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.index(">Deflated<") < page.index(">Sharpe<")
    assert "Deflated 0.25" in text
    assert "(PBO): n/a" in text
