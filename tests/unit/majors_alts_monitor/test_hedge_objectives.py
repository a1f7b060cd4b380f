"""The comparison of hedge objectives on a simulated market."""

import pytest

from majors_alts_monitor.beta_neutral.rich_objective import RichTerms
from majors_alts_monitor.config import load_config
from majors_alts_monitor.errors import RangeError
from majors_alts_monitor.studies.drifting_market import drifting_market
from majors_alts_monitor.studies.hedge_objectives import compare

CONFIG = load_config(overrides=["universe.alt_selection.enabled=false"])
TERMS = RichTerms(
    horizon_days=20, risk_aversion=50, cost_bps=10, impact_coefficient=1.0, participation=0.05
)


def test_richer_objective_trades_less_and_gives_up_little_beta():
    market, _ = drifting_market(200, 12, seed=0)

    table = compare(market, CONFIG, TERMS).set_index("objective")

    assert table.loc["rich", "turnover"] < table.loc["plain", "turnover"]
    assert table.loc["plain", ["residual_btc", "residual_eth"]].max() < 1e-12
    assert table.loc["rich", ["residual_btc", "residual_eth"]].max() < 0.05
    assert (table["n_unsolved"] == 0).all()


def test_market_without_two_books_is_refused():
    market, _ = drifting_market(62, 12, seed=0)

    with pytest.raises(RangeError, match="needs two"):
        compare(market, CONFIG, TERMS)
