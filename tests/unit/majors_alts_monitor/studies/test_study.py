"""The folder and the page that the studies share."""

import pandas as pd
import pytest

from majors_alts_monitor.errors import ConfigError
from majors_alts_monitor.studies.study import ask, claim, extended_page, figures_table


def test_a_study_takes_over_its_own_folder_and_no_other(tmp_path):
    claim(tmp_path / "new", "basket_sizes")
    claim(tmp_path / "new", "basket_sizes")
    with pytest.raises(ConfigError, match="not of an earlier risk_management"):
        claim(tmp_path / "new", "risk_management")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(ConfigError, match="name an empty folder"):
        claim(tmp_path / "file", "basket_sizes")


def test_the_range_must_ascend(tmp_path):
    flags = ["--start", "2024-02-01", "--end", "2024-01-01", "--out", str(tmp_path)]
    with pytest.raises(ConfigError, match="is after"):
        ask(flags, "basket_sizes", None)
    assert list(tmp_path.iterdir()) == []


def test_out_is_the_folder_of_the_study_and_the_page_says_the_range(tmp_path):
    flags = ["--start", "2024-01-01", "--end", "2024-02-01", "--out", str(tmp_path / "s")]
    asked = ask([*flags, "--set", "execution.lag_days=2"], "basket_sizes", None)
    assert asked.request.config.execution.lag_days == 2
    assert (asked.place.start, asked.place.end) == ("2024-01-01", "2024-02-01")
    assert (tmp_path / "s" / "study.json").is_file()


def test_tables_on_the_page_are_escaped_and_missing_is_a_dash():
    table = pd.DataFrame({"name": ["<script>"], "value": [None]}).astype({"value": "float64"})
    page = extended_page("<html><body></body></html>\n", {"a_table": table}, [], {})
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<td>-</td>" in page
    assert page.endswith("</body></html>\n")


def test_days_stand_without_a_time_and_numbers_with_four_digits():
    table = pd.DataFrame({"day": pd.to_datetime(["2024-01-02"]), "x": [0.123456], "n": [3]})
    page = extended_page("<html><body></body></html>\n", {"t": table}, [], {})
    assert all(cell in page for cell in ("<td>2024-01-02</td>", "<td>0.1235</td>", "<td>3</td>"))


def test_figures_keep_the_order_given_and_null_where_undefined():
    table = figures_table({"b": {"sharpe": 2.0}, "a": {"sharpe": None}})
    assert table["member"].tolist() == ["b", "a"]
    assert table["sharpe"].isna().tolist() == [False, True]
