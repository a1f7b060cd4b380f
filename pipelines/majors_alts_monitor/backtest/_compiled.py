"""One way to compile a function, so that every compiled stage keeps the same arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Return ``function`` compiled to machine code, cached on disk after its first call.

    No fast math and no threads: sums keep their order, so results are equal to the bit on
    every machine. Division by zero gives an infinity, as numpy does. Where no folder can be
    written, each process compiles for itself.
    """
    try:
        result: F = njit(cache=True, error_model="numpy")(function)
    except RuntimeError:  # numba finds no place for its cache
        result = njit(error_model="numpy")(function)
    return result
