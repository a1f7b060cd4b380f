import itertools

import numpy as np

from majors_alts_monitor.regime.walk_forward import walk_forward


def test_windows_are_anchored_at_the_first_valid_day_and_follow_each_other():
    found = walk_forward(np.arange(700) >= 60, 252, 63)

    assert found[0].fit_from == 60
    assert found[0].apply_from == 60 + 252
    assert all(b.apply_from == a.apply_to for a, b in itertools.pairwise(found))
    assert all(w.fit_to - w.fit_from == 252 for w in found)
    assert found[-1].apply_from < 700 <= found[-1].apply_to


def test_a_later_invalid_day_moves_no_window():
    valid = np.arange(700) >= 60
    holed = valid.copy()
    holed[300:400] = False

    assert walk_forward(holed, 252, 63) == walk_forward(valid, 252, 63)


def test_without_a_valid_day_or_enough_days_there_is_no_window():
    assert walk_forward(np.zeros(700, dtype=bool), 252, 63) == []
    assert walk_forward(np.ones(252, dtype=bool), 252, 63) == []
    assert len(walk_forward(np.ones(253, dtype=bool), 252, 63)) == 1
