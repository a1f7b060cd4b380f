"""Numbers as a person reads them."""

import pytest

from majors_alts_monitor.report.formatting import bps, number, percent, regime_words


@pytest.mark.parametrize("show", [percent, number, bps])
@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_a_missing_number_is_said_to_be_missing(show, missing):
    assert show(missing) == "n/a"


def test_what_rounds_to_zero_has_no_minus():
    assert percent(-0.00001) == "0.0%"
    assert number(-0.001, signed=True) == "+0.00"


def test_regimes_read_as_words():
    assert regime_words("WEAK_RISK_ON_ALTS") == "Weak risk-on alts"
