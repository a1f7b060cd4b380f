import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from majors_alts_monitor.config import load_config
from majors_alts_monitor.features import PRIMARY
from majors_alts_monitor.regime import filter_states, timeline
from majors_alts_monitor.regime._states import hold_states
from majors_alts_monitor.regime.unsupervised import fit_states, state_probabilities
from majors_alts_monitor.regime.walk_forward import walk_forward
from majors_alts_monitor.types import GROUPS

N_DAYS = 420
FIRST_VALID = 10
FIRST_FIT = FIRST_VALID + 252
CALM = {"n_states": 3, "seed": 7}
NAN = float("nan")


def world(seed=0, n_days=N_DAYS):
    """Return z-scores, long-short returns and the three hidden states behind both."""
    rng = np.random.default_rng(seed)
    states = (np.arange(n_days) // 30) % 3
    shift = 2.0 * (states - 1)[:, np.newaxis] * np.array([-1, 1, 0, 0, -1, 1, -1, 0])
    inputs = rng.normal(size=(n_days, 8)) + shift
    long_short = rng.normal(0, 0.01, n_days) + 0.02 * (states - 1)
    return inputs, long_short, states


def windows(n_days=N_DAYS):
    return walk_forward(np.arange(n_days) >= FIRST_VALID, 252, 63)


def plain_filter(y, means, sds, transition, start):
    """Return filtered probabilities by enumerating nothing but Bayes' rule, in plain Python."""
    prior, found = list(start), []
    for row in y:
        joint = []
        for state, chance in enumerate(prior):
            density = 1.0
            for value, mean, sd in zip(row, means[state], sds[state], strict=True):
                if not np.isnan(value):
                    density *= np.exp(-0.5 * ((value - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
            joint.append(chance * density)
        now = [value / sum(joint) for value in joint]
        found.append(now)
        prior = [sum(now[i] * transition[i][j] for i in range(len(now))) for j in range(len(now))]
    return np.array(found)


def test_the_worked_filter_of_the_strategy_page_is_reproduced():
    found = filter_states(
        [0.5, 4, 0.2, -5], [0, 0], [1, 3], [[0.95, 0.05], [0.10, 0.90]], [0.5, 0.5]
    )

    assert found[:, 0].round(6).tolist() == [0.728594, 0.006234, 0.257529, 0.000021]


def test_the_filter_agrees_with_bayes_rule_in_plain_python():
    rng = np.random.default_rng(5)
    y = rng.normal(0, 2, (60, 3))
    y[rng.random(y.shape) < 0.2] = NAN
    means, sds = rng.normal(0, 1, (4, 3)), rng.uniform(0.5, 2, (4, 3))
    transition, start = rng.dirichlet(np.ones(4), 4), rng.dirichlet(np.ones(4))

    found = filter_states(y, means, sds, transition, start)

    np.testing.assert_allclose(found, plain_filter(y, means, sds, transition, start), atol=1e-12)


def test_an_observation_far_from_every_state_underflows_nothing():
    found = filter_states([1e6], [0, 1], [1, 1], np.eye(2), [0.5, 0.5])

    assert found.tolist() == [[0.0, 1.0]]


def test_a_day_without_evidence_follows_the_transition_matrix():
    found = filter_states([0.0, NAN], [0, 0], [1, 1], [[0.9, 0.1], [0.2, 0.8]], [1.0, 0.0])

    assert found[1].tolist() == pytest.approx([0.9, 0.1])


@pytest.mark.parametrize("mode", ["hmm", "kmeans"])
def test_planted_states_are_found_and_named_by_their_return(mode):
    inputs, long_short, states = world()

    found = state_probabilities(inputs, long_short, windows(), mode=mode, **CALM)

    assert np.isnan(found[:FIRST_FIT]).all()
    assert np.allclose(found[FIRST_FIT:].sum(axis=1), 1)
    assert (found[FIRST_FIT:].argmax(axis=1) == states[FIRST_FIT:]).mean() > 0.95


@pytest.mark.parametrize("mode", ["hmm", "kmeans"])
def test_turning_the_returns_around_turns_the_names_around(mode):
    inputs, long_short, _ = world()

    found = state_probabilities(inputs, long_short, windows(), mode=mode, **CALM)
    turned = state_probabilities(inputs, -long_short, windows(), mode=mode, **CALM)

    np.testing.assert_allclose(turned, found[:, ::-1], atol=1e-12)


@pytest.mark.parametrize("mode", ["hmm", "kmeans"])
@pytest.mark.parametrize("cut", [FIRST_FIT, FIRST_FIT + 40])
def test_rewriting_the_future_leaves_past_probabilities_equal_to_the_bit(mode, cut):
    inputs, long_short, _ = world()
    poisoned, poisoned_return = inputs.copy(), long_short.copy()
    poisoned[cut + 1 :] = np.random.default_rng(9).normal(50, 10, poisoned[cut + 1 :].shape)
    poisoned_return[cut + 1 :] *= -1000

    found = state_probabilities(inputs, long_short, windows(), mode=mode, **CALM)
    again = state_probabilities(poisoned, poisoned_return, windows(), mode=mode, **CALM)
    cut_off = state_probabilities(
        inputs[: cut + 1], long_short[: cut + 1], windows(cut + 1), mode=mode, **CALM
    )

    np.testing.assert_array_equal(again[: cut + 1], found[: cut + 1])
    np.testing.assert_array_equal(cut_off, found[: cut + 1])


@pytest.mark.parametrize("mode", ["hmm", "kmeans"])
def test_the_number_of_threads_moves_no_bit(mode):
    inputs, long_short, _ = world(n_days=FIRST_FIT + 1)
    arguments = (inputs, long_short, windows(FIRST_FIT + 1))

    with threadpool_limits(limits=1):
        one = state_probabilities(*arguments, mode=mode, **CALM)
    with threadpool_limits(limits=2):
        two = state_probabilities(*arguments, mode=mode, **CALM)

    np.testing.assert_array_equal(one, two)


def test_an_input_with_a_hole_in_training_is_left_out_of_that_fit():
    inputs, long_short, _ = world()
    inputs[100, 3] = NAN

    model = fit_states(inputs[:252], long_short[:252], mode="kmeans", **CALM)

    assert model.columns.tolist() == [0, 1, 2, 4, 5, 6, 7]


def test_without_any_whole_input_there_is_no_model():
    inputs, long_short, _ = world()
    inputs[100] = NAN

    assert fit_states(inputs[:252], long_short[:252], mode="hmm", **CALM) is None


def test_a_state_is_kept_for_the_minimum_and_a_day_without_evidence_binds_nobody():
    wanted = np.array([1, 0, -1, -1, 1, 1, 1, -1], dtype=np.int8)
    evidence = np.array([1, 1, 1, 1, 1, 0, 1, 1], dtype=bool)
    nothing = np.zeros(8, dtype=bool)

    codes, ages = hold_states(wanted, evidence, nothing, min_persistence_days=3)

    # Day 3 may leave; its successor lasts until the day without evidence cuts it short.
    assert codes.tolist() == [1, 1, 1, -1, -1, 0, 1, 1]
    assert ages.tolist() == [0, 1, 2, 0, 1, 0, 0, 1]


def test_the_gate_also_holds_in_the_unsupervised_modes():
    wanted = np.array([0, 2, 1, -1, 1], dtype=np.int8)
    gates = np.array([0, 1, 0, 0, 1], dtype=bool)

    codes, _ = hold_states(wanted, np.ones(5, dtype=bool), gates, min_persistence_days=0)

    assert codes.tolist() == [0, 0, 1, -1, 0]


@pytest.mark.parametrize("mode", ["hmm", "kmeans"])
def test_a_timeline_is_balanced_before_the_first_fit_and_keeps_the_composite_score(mode):
    inputs, long_short, _ = world()
    index = pd.date_range("2023-01-01", periods=N_DAYS, name="date")
    features = pd.DataFrame(inputs, index=index, columns=[PRIMARY[g] for g in GROUPS])
    features["valid"] = np.arange(N_DAYS) >= FIRST_VALID
    ones, earned = pd.Series(1.0, index=index), pd.Series(long_short, index=index)
    config = load_config(overrides=[f"regime.mode={mode}", "regime.n_regimes=3"]).regime
    plain = load_config(overrides=["regime.n_regimes=3"]).regime

    found = timeline(features, ones, config, earned)

    composite = timeline(features, ones, plain, earned)
    pd.testing.assert_series_equal(found.daily["score_raw"], composite.daily["score_raw"])
    before = found.daily.iloc[:FIRST_FIT]
    assert set(before["regime"]) == {"BALANCED"}
    assert before["insufficient_data"].all()
    assert not found.daily["insufficient_data"].iloc[FIRST_FIT:].any()
    assert list(found.probabilities) == ["RISK_ON_ALTS", "BALANCED", "RISK_ON_MAJORS"]
    assert set(found.daily["regime"].iloc[FIRST_FIT:]) == set(found.probabilities)
