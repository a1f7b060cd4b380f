"""The hedge: worked numbers, optimality, scaling, and what the limits leave over."""

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majors_alts_monitor.beta_neutral import solve_hedge
from majors_alts_monitor.errors import MissingBetaError

ALTS = np.full(4, -0.125)
BETAS = np.array([[0.5, 0.6], [0.7, 0.4], [0.3, 0.9], [0.6, 0.5]])
S = np.array([[0.03**2, 0.85 * 0.03 * 0.04], [0.85 * 0.03 * 0.04, 0.04**2]])


def solved(*, caps=(1.0, 1.0), gross_cap=5.0, mode="beta_neutral", alts=ALTS, betas=BETAS, s=S):
    return solve_hedge(alts, betas, covariance=s, major_caps=caps, gross_cap=gross_cap, mode=mode)


def test_free_hedge_gives_the_worked_numbers():
    hedge = solved()

    np.testing.assert_allclose(hedge.weights, [0.2625, 0.3], atol=1e-15)
    np.testing.assert_allclose(hedge.residual, 0, atol=1e-15)
    assert hedge.gross == pytest.approx(1.0625)
    assert hedge.alt_scale == 1
    assert hedge.binding == ()


def test_gross_cap_scales_the_whole_book():
    hedge = solved(gross_cap=1.0)

    assert hedge.alt_scale == pytest.approx(0.941176, abs=5e-7)
    np.testing.assert_allclose(hedge.weights, np.array([0.2625, 0.3]) / 1.0625, atol=1e-15)
    np.testing.assert_allclose(hedge.residual, 0, atol=1e-15)
    assert hedge.gross == pytest.approx(1.0, abs=1e-15)
    assert hedge.binding == ("gross_cap",)


def test_capped_eth_is_partly_replaced_by_btc():
    hedge = solved(caps=(0.75, 0.2))

    np.testing.assert_allclose(hedge.weights, [0.375833, 0.2], atol=5e-7)
    assert hedge.binding == ("cap_ETH",)


def test_both_caps_leave_the_worked_beta_over():
    hedge = solved(caps=(0.35, 0.2))

    np.testing.assert_allclose(hedge.weights, [0.35, 0.2], atol=1e-15)
    np.testing.assert_allclose(hedge.residual, [0.0875, -0.1], atol=1e-15)
    assert hedge.binding == ("cap_BTC", "cap_ETH")


def test_residual_is_that_of_the_scaled_book():
    hedge = solved(caps=(0.35, 0.2), gross_cap=0.525)

    # Gross .5 + .55 = 1.05 -> half of everything.
    np.testing.assert_allclose(hedge.weights, [0.175, 0.1], atol=1e-15)
    np.testing.assert_allclose(hedge.residual, [0.04375, -0.05], atol=1e-15)
    assert hedge.alt_scale == pytest.approx(0.5)
    assert hedge.binding == ("cap_BTC", "cap_ETH", "gross_cap")


def test_hedge_that_just_fits_its_caps_is_free():
    hedge = solved(alts=np.array([-0.25]), betas=np.array([[1.0, 2.0]]), caps=(0.25, 0.5))

    assert hedge.weights.tolist() == [0.25, 0.5]
    assert hedge.binding == ()


def test_labels_are_matched_by_name_and_come_back():
    alts = pd.Series({"SOL": -0.25, "ADA": -0.5})
    betas = pd.DataFrame(
        {"ETH": [9.0, 0.5, 1.0], "BTC": [9.0, 0.25, 0.5]}, index=["XRP", "ADA", "SOL"]
    )
    covariance = pd.DataFrame(S, index=["BTC", "ETH"], columns=["BTC", "ETH"])

    hedge = solve_hedge(
        alts,
        betas,
        covariance=covariance.loc[::-1, ::-1],
        major_caps={"ETH": 0.2, "BTC": 0.75},
        gross_cap=5.0,
        mode="beta_neutral",
    )

    plain = solved(
        alts=alts.to_numpy(), betas=np.array([[0.5, 1.0], [0.25, 0.5]]), caps=(0.75, 0.2)
    )
    assert hedge.weights.to_dict() == dict(zip(["BTC", "ETH"], plain.weights, strict=True))
    assert hedge.residual["ETH"] == plain.residual[1]


def test_asset_without_beta_is_named_in_the_error():
    alts = pd.Series({"SOL": -0.25, "ADA": -0.25, "XRP": -0.1})
    betas = pd.DataFrame({"BTC": [0.5, np.nan], "ETH": [0.5, 0.5]}, index=["SOL", "ADA"])

    with pytest.raises(MissingBetaError, match="ADA, XRP"):
        solve_hedge(alts, betas, covariance=S, major_caps=(1, 1), gross_cap=1)


@pytest.mark.parametrize(
    "covariance",
    [np.full((2, 2), np.nan), np.array([[1.0, 2.0], [2.0, 1.0]]), np.diag([-1.0, 1.0])],
)
def test_covariance_that_cannot_be_one_is_refused_when_a_limit_binds(covariance):
    with pytest.raises(ValueError, match="covariance"):
        solved(caps=(0.1, 0.1), s=covariance)


def test_covariance_is_not_looked_at_when_the_hedge_is_free():
    assert solved(s=np.full((2, 2), np.nan)).weights[0] == pytest.approx(0.2625)


def test_unknown_mode_and_negative_caps_are_refused():
    with pytest.raises(ValueError, match="mode"):
        solved(mode="delta")
    with pytest.raises(ValueError, match="caps"):
        solved(caps=(-0.1, 1.0))


def test_no_alts_need_no_hedge():
    hedge = solved(alts=np.zeros(0), betas=np.zeros((0, 2)))

    assert hedge.weights.tolist() == [0.0, 0.0]
    assert hedge.gross == 0


def test_dollar_neutral_book_sums_to_zero():
    hedge = solved(mode="dollar_neutral")

    assert hedge.weights.sum() == pytest.approx(0.5, abs=1e-15)
    # Minimum along x_BTC + x_ETH = .5: d'S(e + x) = 0 with d = (1, -1).
    direction = np.array([1, -1]) @ S
    assert direction @ hedge.residual == pytest.approx(0, abs=1e-18)


def test_dollar_neutral_scales_the_alts_down_when_the_caps_cannot_hold_them():
    hedge = solved(mode="dollar_neutral", caps=(0.15, 0.10))

    assert hedge.weights.tolist() == [0.15, 0.10]
    assert hedge.alt_scale == pytest.approx(0.5)
    assert hedge.binding == ("cap_BTC", "cap_ETH")
    # e halved: (-.13125, -.15) + x.
    np.testing.assert_allclose(hedge.residual, [0.01875, -0.05], atol=1e-15)


def test_dollar_neutral_names_the_cap_that_binds():
    hedge = solved(mode="dollar_neutral", caps=(0.1, 0.75))

    assert hedge.weights.tolist() == [0.1, 0.4]
    assert hedge.binding == ("cap_BTC",)


def test_equal_majors_share_a_dollar_neutral_hedge_evenly():
    hedge = solved(mode="dollar_neutral", s=np.full((2, 2), 0.04))

    assert hedge.weights.tolist() == [0.25, 0.25]


def by_solver(e, s, caps, total=None):
    """Solve the same problem with an interior-point method."""
    x = cp.Variable(2)
    root = np.linalg.cholesky(s / np.trace(s))
    limits = [x >= 0, x <= np.asarray(caps)]
    if total is not None:
        limits.append(cp.sum(x) == total)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(root.T @ (e + x))), limits)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-13, tol_gap_rel=1e-13, tol_feas=1e-13)
    return x.value


problems = st.fixed_dictionaries(
    {
        "e": st.tuples(st.floats(-1.5, 0.5), st.floats(-1.5, 0.5)),
        "caps": st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)),
        "sd": st.tuples(st.floats(0.01, 0.08), st.floats(0.01, 0.08)),
        "correlation": st.floats(-0.5, 0.97),
    }
)


def matrix(sd, correlation):
    c = sd[0] * sd[1] * correlation
    return np.array([[sd[0] ** 2, c], [c, sd[1] ** 2]])


@settings(max_examples=60, deadline=None)
@given(problem=problems)
def test_boundary_solution_agrees_with_a_convex_solver(problem):
    e, caps = np.array(problem["e"]), problem["caps"]
    s = matrix(problem["sd"], problem["correlation"])

    hedge = solved(alts=np.array([-1.0]), betas=-e[None, :], caps=caps, gross_cap=99, s=s)

    reference = by_solver(e, s, caps)
    ours, theirs = e + hedge.weights, e + np.clip(reference, 0, caps)
    assert ours @ s @ ours <= theirs @ s @ theirs + 1e-15
    np.testing.assert_allclose(hedge.weights, reference, atol=2e-4)


@settings(max_examples=60, deadline=None)
@given(problem=problems, net=st.floats(0.02, 1.0))
def test_dollar_neutral_solution_agrees_with_a_convex_solver(problem, net):
    e, caps = np.array(problem["e"]), problem["caps"]
    s = matrix(problem["sd"], problem["correlation"])
    net = min(net, 0.999 * sum(caps))

    hedge = solved(
        alts=np.array([-net]),
        betas=-e[None, :] / net,
        caps=caps,
        gross_cap=99,
        mode="dollar_neutral",
        s=s,
    )

    np.testing.assert_allclose(hedge.weights, by_solver(e, s, caps, net), atol=2e-4)
    assert hedge.weights.sum() == pytest.approx(net, abs=1e-15)


@given(problem=problems)
def test_optimality_conditions_hold_to_nine_digits(problem):
    e, caps = np.array(problem["e"]), np.array(problem["caps"])
    s = matrix(problem["sd"], problem["correlation"])

    x = solved(alts=np.array([-1.0]), betas=-e[None, :], caps=caps, gross_cap=99, s=s).weights

    gradient = s @ (e + x) / np.trace(s)
    assert ((x >= 0) & (x <= caps)).all()
    # A weight between its limits has no slope left; one at a limit is pressed against it.
    assert (np.abs(gradient[(x > 0) & (x < caps)]) <= 1e-9).all()
    assert (gradient[x == caps] <= 1e-9).all()
    assert (gradient[x == 0] >= -1e-9).all()


@given(seed=st.integers(0, 999))
def test_order_of_the_assets_changes_no_bit(seed):
    rng = np.random.default_rng(seed)
    alts, betas = -rng.random(20) / 20, rng.uniform(0, 3, (20, 2))
    order = rng.permutation(20)

    one = solved(alts=alts, betas=betas, caps=(0.75, 0.75), gross_cap=1.0)
    other = solved(alts=alts[order], betas=betas[order], caps=(0.75, 0.75), gross_cap=1.0)

    np.testing.assert_array_equal(one.weights, other.weights)
    assert one.alt_scale == other.alt_scale
