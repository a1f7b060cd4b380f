"""Sums in SQL have the same bits in any order, and are right to the resolution they state."""

import math
from pathlib import Path

import duckdb
import jinja2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

MACRO = Path(__file__).parents[2] / "dbt_project" / "macros" / "exact_sum.sql"
ROOM = {"usd": (-7, 1e15), "rate": (40, 4.0), "rate x usd": (10, 1e8), "return": (30, 100.0)}
"""Bits, and values of which a thousand leave room."""


def add_up(
    values: np.ndarray[tuple[int], np.dtype[np.float64]], bits: int, threads: int = 1
) -> float:
    macro = MACRO.read_text("utf-8") + "{{ exact_sum('value', bits=bits) }}"
    expression = jinja2.Template(macro).render(bits=bits)
    with duckdb.connect(config={"threads": threads}) as connection:
        connection.register("numbers", {"value": values})
        found = connection.execute(f"select {expression} from numbers").fetchone()  # noqa: S608
    assert found is not None
    return float(found[0])


@pytest.mark.parametrize(("bits", "largest"), ROOM.values(), ids=ROOM)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_sum_is_right_to_its_resolution_in_any_order(
    bits: int, largest: float, data: st.DataObject
) -> None:
    numbers = st.floats(-largest, largest, allow_nan=False)
    values = data.draw(st.lists(numbers, min_size=1, max_size=60))
    shuffled = data.draw(st.permutations(values))

    found = add_up(np.array(values), bits)

    exact = math.fsum(values)
    assert abs(found - exact) <= len(values) * 2.0 ** -(bits + 38) + math.ulp(exact)
    assert add_up(np.array(shuffled), bits) == found


def test_bits_of_a_plain_sum_depend_on_the_order_those_of_ours_do_not() -> None:
    rng = np.random.default_rng(0)
    caps = rng.lognormal(20, 3, 30_000)
    orders = [rng.permutation(caps) for _ in range(6)]

    assert len({float(order.cumsum()[-1]) for order in orders}) > 1
    assert len({add_up(order, -7, threads=2) for order in orders}) == 1
    assert add_up(caps, -7) == pytest.approx(math.fsum(caps), rel=1e-15)


def test_halves_add_up_to_the_last_bit() -> None:
    assert add_up(np.array([0.5, -0.25, 2.0, 2.0**-31]), -7) == 2.25 + 2.0**-31
