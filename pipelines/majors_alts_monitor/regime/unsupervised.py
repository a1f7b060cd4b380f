"""Regimes found by a Gaussian HMM or by k-means, applied without a look at the future.

Flow: ``windows -> fit on the window -> filter forward over the days it is applied to``. A model
fitted for row f has seen rows before f only; its probabilities for row t are filtered, so they
use rows up to t: never smoothed, never Viterbi. States take their names from the long-short
return they had in training, so labels cannot swap between fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from majors_alts_monitor.backtest._compiled import compiled
from majors_alts_monitor.regime.walk_forward import Window
from majors_alts_monitor.types import Bools, Floats

N_STARTS: Final = 3
"""EM is run from so many k-means starts; the likeliest fit is kept."""
MAX_ITERATIONS: Final = 100
TOLERANCE: Final = 1e-3
MIN_SD: Final = 1e-2
"""Floor of a state's standard deviation, in z-score units."""
TRANSITION_PRIOR: Final = 1.01
"""Just above 1, so that no transition gets probability 0 and no row is empty."""


@dataclass(frozen=True, slots=True)
class StateModel:
    """A fitted model, its states in the order of their training long-short return."""

    columns: npt.NDArray[np.int64]
    """Columns of the inputs that had a value on every training day."""
    means: Floats
    sds: Floats
    """Shape (n_states, n_columns)."""
    transition: Floats
    start: Floats


def filter_states(
    y: npt.ArrayLike,
    means: npt.ArrayLike,
    sds: npt.ArrayLike,
    transition: npt.ArrayLike,
    start: npt.ArrayLike,
) -> Floats:
    r"""Return P(state on t | y_1 .. y_t) of a Gaussian hidden Markov model.

    .. math:: p_t \propto (A^\top p_{t-1}) \odot N(y_t; \mu, \sigma^2)

    with the distribution of the first day, before its observation, in place of the bracket.

    Parameters
    ----------
    y : array of shape (n,) or (n, d)
        Observations; a NaN carries no evidence.
    means, sds : arrays of shape (k,) or (k, d)
        Independent normals of each state.
    transition : array of shape (k, k)
        Row i: probabilities of the next state, given state i.
    start : array of shape (k,)

    Returns
    -------
    array of shape (n, k)

    References
    ----------
    .. [1] J. D. Hamilton (1989), "A New Approach to the Economic Analysis of Nonstationary Time
       Series and the Business Cycle", Econometrica 57(2).

    Examples
    --------
    >>> filter_states([0.5, 4.0], [0, 0], [1, 3], [[0.95, 0.05], [0.1, 0.9]], [0.5, 0.5]).round(6)
    array([[0.728594, 0.271406],
           [0.006234, 0.993766]])
    """
    seen = _two_dimensional(y)
    centres, widths = _two_dimensional(means), _two_dimensional(sds)
    distance = (seen[:, np.newaxis, :] - centres) / widths
    evidence = np.where(np.isnan(distance), 0.0, -0.5 * distance**2 - np.log(widths))
    return _filter_forward(
        np.add.accumulate(evidence, axis=2)[..., -1],
        np.ascontiguousarray(transition, dtype=np.float64),
        np.ascontiguousarray(start, dtype=np.float64),
    )


def _two_dimensional(values: npt.ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[:, np.newaxis] if array.ndim == 1 else array


@compiled
def _filter_forward(log_likelihood: Floats, transition: Floats, start: Floats) -> Floats:
    n_days, n_states = log_likelihood.shape
    filtered = np.empty((n_days, n_states))
    predicted = start.copy()
    for day in range(n_days):
        if day > 0:
            for j in range(n_states):
                predicted[j] = 0.0
                for i in range(n_states):
                    predicted[j] += filtered[day - 1, i] * transition[i, j]
        # The likeliest state is scaled to 1, so that a far outlier underflows nothing but others.
        joint = np.log(predicted) + log_likelihood[day]
        total = 0.0
        highest = joint.max()
        for j in range(n_states):
            filtered[day, j] = np.exp(joint[j] - highest)
            total += filtered[day, j]
        for j in range(n_states):
            filtered[day, j] /= total
    return filtered


def state_probabilities(
    inputs: Floats,
    long_short: Floats,
    windows: Sequence[Window],
    *,
    mode: Literal["hmm", "kmeans"],
    n_states: int,
    seed: int,
) -> Floats:
    """Return the filtered probability of each state on each day, shape (n_days, n_states).

    States ascend from the one that favoured ALTS most in training. NaN before the first fit,
    and for a window in which no input has a value on every training day.

    Parameters
    ----------
    inputs : array of shape (n_days, n_inputs)
        z-scores of the configured primary columns; NaN is missing.
    long_short : array of shape (n_days,)
        Majors' return over the ALT index; names the states.
    windows : sequence of Window
    mode : {"hmm", "kmeans"}
    n_states, seed : int
    """
    probabilities = np.full((len(inputs), n_states), np.nan)
    for window in windows:
        fit, apply = (
            slice(window.fit_from, window.fit_to),
            slice(window.apply_from, window.apply_to),
        )
        model = fit_states(inputs[fit], long_short[fit], mode=mode, n_states=n_states, seed=seed)
        if model is not None:
            # Filtered from the first training day on, to start warm where it is applied.
            seen = inputs[window.fit_from : window.apply_to, model.columns]
            filtered = _apply(model, seen)
            probabilities[apply] = filtered[window.apply_from - window.fit_from :]
    return probabilities


def fit_states(
    inputs: Floats,
    long_short: Floats,
    *,
    mode: Literal["hmm", "kmeans"],
    n_states: int,
    seed: int,
) -> StateModel | None:
    """Return the model of one training window, or None where the inputs cannot carry one.

    Parameters are as in ``state_probabilities``, cut to the training days.
    """
    columns = np.flatnonzero(~np.isnan(inputs).any(axis=0))
    if columns.size == 0:
        return None
    x = np.ascontiguousarray(inputs[:, columns])
    if len(np.unique(x, axis=0)) < n_states:
        return None
    means, sds, transition, start = _fit(x, mode, n_states, seed)
    order = _order(filter_states(x, means, sds, transition, start), long_short)
    return StateModel(
        columns=columns,
        means=means[order],
        sds=sds[order],
        transition=transition[np.ix_(order, order)],
        start=start[order],
    )


def _apply(model: StateModel, seen: Floats) -> Floats:
    return filter_states(seen, model.means, model.sds, model.transition, model.start)


def _order(filtered: Floats, long_short: Floats) -> npt.NDArray[np.int64]:
    """Return the states by ascending mean long-short return, days weighted by probability."""
    has_return: Bools = ~np.isnan(long_short)
    weights = filtered[has_return]
    earned = (weights * long_short[has_return, np.newaxis]).sum(axis=0)
    total = weights.sum(axis=0)
    means = np.where(total > 0, earned / np.where(total > 0, total, 1.0), 0.0)
    return np.argsort(means, kind="stable")


def _fit(x: Floats, mode: str, n_states: int, seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return means, standard deviations, transition and start, states in the fit's own order."""
    # Imported late: they take seconds, and the composite mode does without.
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # With one thread sums keep their order, so the fit is the same on every machine.
    with threadpool_limits(limits=1):
        return _fit_kmeans(x, n_states, seed) if mode == "kmeans" else _fit_hmm(x, n_states, seed)


def _fit_kmeans(x: Floats, k: int, seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return k-means as a mixture of equally wide and likely normals without memory."""
    from sklearn.cluster import KMeans

    found = KMeans(n_clusters=k, n_init=10, random_state=seed).fit(x)
    width = max(float(np.sqrt(found.inertia_ / x.size)), MIN_SD)
    centres = np.asarray(found.cluster_centers_, dtype=np.float64)
    even = np.full(k, 1.0 / k)
    return centres, np.full(centres.shape, width), np.tile(even, (k, 1)), even


def _fit_hmm(x: Floats, k: int, seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the likeliest of ``N_STARTS`` EM fits; each starts from another k-means."""
    fits = [_expectation_maximisation(x, k, seed + start) for start in range(N_STARTS)]
    return max(fits, key=lambda fit: fit[0])[1]


def _expectation_maximisation(
    x: Floats, k: int, seed: int
) -> tuple[float, tuple[Floats, Floats, Floats, Floats]]:
    from hmmlearn.base import ConvergenceMonitor
    from hmmlearn.hmm import GaussianHMM
    from sklearn.cluster import KMeans

    class SilentMonitor(ConvergenceMonitor):  # type: ignore[misc]
        """Stops like its parent but writes no log."""

        def report(self, log_prob: float) -> None:
            self.history.append(log_prob)
            self.iter += 1

    model: Any = GaussianHMM(
        n_components=k,
        covariance_type="diag",
        n_iter=MAX_ITERATIONS,
        tol=TOLERANCE,
        min_covar=MIN_SD**2,
        transmat_prior=TRANSITION_PRIOR,
        init_params="stc",
        random_state=seed,
    )
    model.monitor_ = SilentMonitor(TOLERANCE, MAX_ITERATIONS, verbose=False)
    model.means_ = KMeans(n_clusters=k, n_init=1, random_state=seed).fit(x).cluster_centers_
    model.fit(x)
    variances = np.diagonal(model.covars_, axis1=1, axis2=2)
    parameters = (
        np.asarray(model.means_, dtype=np.float64),
        np.sqrt(np.maximum(variances, MIN_SD**2)),
        np.asarray(model.transmat_, dtype=np.float64),
        np.asarray(model.startprob_, dtype=np.float64),
    )
    likelihood = float(model.score(x))
    is_whole = all(np.isfinite(values).all() for values in parameters)
    return (likelihood if is_whole and np.isfinite(likelihood) else -np.inf), parameters
