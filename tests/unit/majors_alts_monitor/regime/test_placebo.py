import numpy as np
import pytest
from scipy.stats import kstest

from majors_alts_monitor.regime.placebo import placebo_test, spell_lengths

N_WORLDS = 200


def gate(rng, n=600, mean_days=12):
    """Return a gate that knows nothing, open half the time in spells of about 12 days."""
    lengths = rng.geometric(1 / mean_days, n)
    states = np.arange(n) % 2 == rng.integers(0, 2)
    return np.repeat(states, lengths)[:n]


def run(is_open, returns, **changed):
    arguments = {"delay_days": 2, "cost_per_switch": 0.001, "n_surrogates": 199, "seed": 5}
    return placebo_test(is_open, returns, **(arguments | changed))


def plain_value(held, earned, cost):
    switches = int(held[0]) + sum(a != b for a, b in zip(held[1:], held[:-1], strict=True))
    return (
        (sum(r for h, r in zip(held, earned, strict=True) if h) - cost * switches) / len(held) * 365
    )


def test_the_value_is_what_the_gate_earned_less_its_switches():
    # Open on days 0, 1, 4; held, and earning, on 2, 3, 6; three switches.
    is_open = np.array([True, True, False, False, True, False, False])
    earned = np.array([9.0, 9.0, 0.01, 0.02, -0.05, -0.05, 0.03])

    found = run(is_open, earned, cost_per_switch=0.001)

    # Held days 0..4 of 5: in on day 0, out, in; then .01 + .02 + .03 - 3 x .001 = .057.
    assert found.value == pytest.approx(0.057 / 5 * 365)


def test_shifts_are_worth_what_a_plain_loop_says():
    rng = np.random.default_rng(3)
    is_open, earned = gate(rng, 80), rng.normal(0, 0.02, 80)

    found = run(is_open, earned)

    held = is_open[:-2]
    expected = [plain_value(np.roll(held, s), earned[2:], 0.001) for s in range(78)]
    assert found.value == pytest.approx(expected[0])
    np.testing.assert_allclose(found.shifted, expected[1:], atol=1e-12)
    assert found.p_shifted == np.mean([v >= expected[0] - 1e-12 for v in expected])


def test_surrogates_of_a_gate_worth_its_time_only_are_worth_the_same():
    # With the same return every day only exposure and switches count; surrogates keep both.
    is_open = gate(np.random.default_rng(4), 200)

    found = run(is_open, np.full(200, 0.001))

    np.testing.assert_allclose(found.shuffled, found.value, atol=1e-12)
    assert found.p_shuffled == 1.0


def test_a_missing_return_earns_nothing():
    is_open = gate(np.random.default_rng(4), 100)
    earned = np.random.default_rng(0).normal(0, 0.02, 100)
    holed, zeroed = earned.copy(), earned.copy()
    holed[10:20], zeroed[10:20] = np.nan, 0.0

    assert run(is_open, holed).value == run(is_open, zeroed).value


@pytest.mark.parametrize("is_open", [np.zeros(50, dtype=bool), np.ones(50, dtype=bool)])
def test_a_gate_that_never_moves_beats_no_placebo(is_open):
    found = run(is_open, np.random.default_rng(0).normal(0, 0.02, 50))

    assert found.p_shifted == 1.0
    assert found.p_shuffled == 1.0


def test_spells_are_counted_in_order():
    assert spell_lengths(np.array(["a", "a", "b", "a"], dtype=object)).tolist() == [2, 1, 1]


def test_p_values_are_uniform_on_a_thousand_noise_worlds():
    found = []
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        found.append(run(gate(rng), rng.normal(0.0005, 0.02, 600), seed=seed))

    for p_values in ([f.p_shifted for f in found], [f.p_shuffled for f in found]):
        assert kstest(p_values, "uniform").pvalue > 0.05
        assert 0.03 < np.mean(np.array(p_values) <= 0.05) < 0.07


def test_a_planted_effect_is_found_in_four_of_five_worlds():
    # 0.6 % more a day while open, at 2 % a day: t = .006 sqrt(600 / 4) / .02 = 3.7.
    noticed = np.zeros((N_WORLDS, 2), dtype=bool)
    for seed in range(N_WORLDS):
        rng = np.random.default_rng(seed)
        is_open = gate(rng)
        earned = rng.normal(0, 0.02, 600)
        earned[2:] += 0.006 * is_open[:-2]
        found = run(is_open, earned, seed=seed)
        noticed[seed] = found.p_shifted <= 0.05, found.p_shuffled <= 0.05

    assert (noticed.mean(axis=0) >= 0.8).all()
