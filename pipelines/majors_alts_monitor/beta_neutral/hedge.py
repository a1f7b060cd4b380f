"""Size BTC and ETH against a short ALT leg, and say what the limits left unhedged.

Data flow: ``ALT weights, betas -> solve_hedge -> major weights, scale of the book``. With two
unknowns the constrained problem has four edges, each solved in closed form, so the answer is exact
and needs no solver; the tests compare it with one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from majors_alts_monitor.errors import MissingBetaError
from majors_alts_monitor.types import MAJORS, Floats

Mode = Literal["beta_neutral", "dollar_neutral"]
Pair = tuple[float, float]
Matrix = tuple[float, float, float]
"""A symmetric 2 x 2 matrix: BTC's variance, the covariance, ETH's variance."""

CAP_NAMES: Final = tuple(f"cap_{major}" for major in MAJORS)
GROSS_NAME: Final = "gross_cap"


@dataclass(frozen=True, slots=True)
class Hedge:
    """The majors' side of a book, after the whole book was scaled."""

    weights: Any
    """BTC and ETH, fractions of NAV; a Series when the input was labelled, else an array."""
    alt_scale: float
    """Factor to put on the ALT weights; 1 unless a limit scaled the book."""
    residual: Any
    """Beta left over to BTC and ETH, like ``weights``."""
    gross: float
    """Sum of absolute weights of both legs, fraction of NAV."""
    binding: tuple[str, ...]
    """Limits that shaped the result: cap_BTC, cap_ETH, gross_cap."""


def solve_hedge(
    alt_weights: Any,
    betas: Any,
    *,
    covariance: Any,
    major_caps: Any,
    gross_cap: float,
    mode: Mode = "beta_neutral",
) -> Hedge:
    r"""Return the BTC and ETH weights that leave the least major risk in the book.

    With :math:`e = B^\top a`: :math:`x = -e` where it fits into the caps, otherwise

    .. math:: \min_x\; (e + x)^\top S\,(e + x), \qquad 0 \le x \le \text{caps} .

    ``dollar_neutral`` adds :math:`1^\top x = -1^\top a`; the ALT leg is scaled down first when the
    caps cannot hold that much. If the gross of the result exceeds ``gross_cap``, the whole book is
    scaled by gross_cap / gross, which keeps it neutral.

    Parameters
    ----------
    alt_weights : Series or array of shape (n_alts,)
        Fractions of NAV; shorts are negative.
    betas : DataFrame or array of shape (n_alts, 2)
        Slopes on BTC and ETH; labelled, it may have more rows than needed, in any order.
    covariance : DataFrame or array of shape (2, 2)
        Of the majors' daily returns. Its scale does not matter; used only when a limit binds.
    major_caps : pair, Series or mapping
        Largest weight of BTC and ETH, fractions of NAV.
    gross_cap : float
        Largest sum of absolute weights, fraction of NAV.
    mode : {"beta_neutral", "dollar_neutral"}

    Returns
    -------
    Hedge
        Independent of the order of the assets, to the bit.

    Raises
    ------
    MissingBetaError
        If an asset of the book has no row, or a NaN, in ``betas``.
    ValueError
        If a cap is negative, the mode is unknown, or the covariance is needed and is not a finite
        positive semidefinite matrix.

    References
    ----------
    .. [1] S. Boyd et al. (2017), "Multi-Period Trading via Convex Optimization", Foundations and
       Trends in Optimization 3(1), section 4.4.

    Examples
    --------
    >>> a = np.array([-0.25, -0.25])
    >>> b = np.array([[0.5, 0.75], [0.75, 0.25]])
    >>> solve_hedge(a, b, covariance=np.eye(2), major_caps=(1, 1), gross_cap=2).weights
    array([0.3125, 0.25  ])
    >>> tight = solve_hedge(a, b, covariance=np.eye(2), major_caps=(1, 0.125), gross_cap=2)
    >>> tight.weights, tight.residual, tight.binding
    (array([0.3125, 0.125 ]), array([ 0.   , -0.125]), ('cap_ETH',))
    """
    alts, slopes = _aligned(alt_weights, betas)
    exposure = (_dot(alts, slopes[:, 0]), _dot(alts, slopes[:, 1]))
    hedge = hedge_exposure(
        exposure,
        net=math.fsum(alts),
        gross=math.fsum(np.abs(alts)),
        covariance=lambda: _matrix(covariance),
        caps=_pair(major_caps),
        gross_cap=float(gross_cap),
        mode=mode,
    )
    if not isinstance(alt_weights, pd.Series):
        return hedge
    return Hedge(
        pd.Series(hedge.weights, index=list(MAJORS)),
        hedge.alt_scale,
        pd.Series(hedge.residual, index=list(MAJORS)),
        hedge.gross,
        hedge.binding,
    )


def hedge_exposure(
    exposure: Pair,
    *,
    net: float,
    gross: float,
    covariance: Callable[[], Matrix],
    caps: Pair,
    gross_cap: float,
    mode: Mode,
) -> Hedge:
    """Return the hedge of an ALT leg known by its betas, its sum and its sum of absolute weights.

    ``covariance`` is called only when a limit binds. The rest as in ``solve_hedge``.
    """
    if not min(caps) >= 0 or not gross_cap > 0:
        raise ValueError(f"caps must not be negative, was {caps} and gross_cap {gross_cap}")
    scale, binding = 1.0, []
    if mode == "beta_neutral":
        x = (0.0 - exposure[0], 0.0 - exposure[1])
        if not (0 <= x[0] <= caps[0] and 0 <= x[1] <= caps[1]):
            x = _on_the_boundary(exposure, covariance(), caps)
            binding = [name for name, w, cap in zip(CAP_NAMES, x, caps, strict=True) if w >= cap]
    elif mode == "dollar_neutral":
        room = caps[0] + caps[1]
        if -net > room:
            scale = room / -net
        scaled = (scale * exposure[0], scale * exposure[1])
        x, binding = _on_the_line(scaled, min(max(-net, 0.0), room), covariance(), caps)
    else:
        raise ValueError(f"mode must be beta_neutral or dollar_neutral, was {mode!r}")

    total = scale * gross + x[0] + x[1]
    shrink = 1.0
    if total > gross_cap:
        shrink = gross_cap / total
        binding.append(GROSS_NAME)
    scale *= shrink
    weights = np.array([shrink * x[0], shrink * x[1]])
    residual = np.array([scale * exposure[0] + weights[0], scale * exposure[1] + weights[1]])
    held = scale * gross + weights[0] + weights[1]
    return Hedge(weights, scale, residual, float(held), tuple(binding))


def _on_the_boundary(e: Pair, s: Matrix, caps: Pair) -> Pair:
    """Minimise (e + x)' S (e + x) over the box, given that the free minimum lies outside.

    A convex function has its minimum over the box then on one of the four edges; along an edge it
    is a parabola. Equal minima (S singular) go to the smaller beta left over.
    """
    s11, s12, s22 = s
    edges: list[Pair] = []
    for bound in (caps[0], 0.0):
        free = -e[1] - (s12 * (e[0] + bound) / s22 if s22 > 0 else 0.0)
        edges.append((bound, _clip(free, caps[1])))
    for bound in (caps[1], 0.0):
        free = -e[0] - (s12 * (e[1] + bound) / s11 if s11 > 0 else 0.0)
        edges.append((_clip(free, caps[0]), bound))

    def left_over(x: Pair) -> tuple[float, float]:
        u, v = e[0] + x[0], e[1] + x[1]
        return s11 * u * u + 2 * s12 * u * v + s22 * v * v, u * u + v * v

    return min(edges, key=left_over)


def _on_the_line(e: Pair, total: float, s: Matrix, caps: Pair) -> tuple[Pair, list[str]]:
    """Minimise (e + x)' S (e + x) on the box's part of x_BTC + x_ETH = total."""
    s11, s12, s22 = s
    # Along (1, -1) from (0, total); its variance is that of BTC minus ETH.
    variance = s11 - 2 * s12 + s22
    slope = (s11 - s12) * e[0] + (s12 - s22) * (e[1] + total)
    wanted = -slope / variance if variance > 0 else total / 2
    low, high = max(0.0, total - caps[1]), min(caps[0], total)
    btc = min(max(wanted, low), high)
    eth = min(max(total - btc, 0.0), caps[1])
    is_binding = (high == caps[0] and wanted >= high, low > 0 and wanted <= low)
    if total >= caps[0] + caps[1]:
        is_binding = (True, True)
    return (btc, eth), [n for n, is_hit in zip(CAP_NAMES, is_binding, strict=True) if is_hit]


def _clip(value: float, cap: float) -> float:
    return min(max(value, 0.0), cap)


def _dot(weights: Floats, slopes: Floats) -> float:
    """Sum exactly, so that the order of the assets cannot matter."""
    return math.fsum(weights * slopes)


def _aligned(alt_weights: Any, betas: Any) -> tuple[Floats, Floats]:
    if isinstance(alt_weights, pd.Series) and isinstance(betas, pd.DataFrame):
        slopes = betas.reindex(alt_weights.index)[list(MAJORS)]
    else:
        slopes = betas[list(MAJORS)] if isinstance(betas, pd.DataFrame) else betas
    names = getattr(alt_weights, "index", range(len(alt_weights)))
    weights = np.asarray(alt_weights, dtype=np.float64)
    values = np.asarray(slopes, dtype=np.float64).reshape(len(weights), 2)
    missing = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if missing.size:
        raise MissingBetaError(str(names[i]) for i in missing)
    if not np.isfinite(weights).all():
        raise ValueError("ALT weights must be finite")
    return weights, values


def _pair(caps: float | Sequence[float] | Mapping[str, float] | pd.Series) -> Pair:
    if isinstance(caps, Mapping | pd.Series):
        return float(caps[MAJORS[0]]), float(caps[MAJORS[1]])
    btc, eth = np.broadcast_to(np.asarray(caps, dtype=np.float64), (2,))
    return float(btc), float(eth)


def _matrix(covariance: Any) -> Matrix:
    if isinstance(covariance, pd.DataFrame):
        covariance = covariance.loc[list(MAJORS), list(MAJORS)]
    s = np.asarray(covariance, dtype=np.float64)
    s11, s12, s22 = float(s[0, 0]), float((s[0, 1] + s[1, 0]) / 2), float(s[1, 1])
    # Up to rounding: a sample covariance of two equal series is singular, not wrong.
    is_psd = s11 >= 0 and s22 >= 0 and s12 * s12 <= s11 * s22 * (1 + 1e-9)
    if s.shape != (2, 2) or not np.isfinite(s).all() or not is_psd:
        raise ValueError(f"covariance must be finite and positive semidefinite, was {s.tolist()}")
    return s11, s12, s22
