"""Check afterwards whether the book was neutral: realised betas, calibration, size loading.

Flow: ``net returns, market, books -> verify_neutrality -> Neutrality``. Forecast betas make the
hedge; here only what returns did counts. Long majors against short ALTs is largely a bet on size,
and no hedge of two betas takes that out: ``size_loading`` says how much of it is in the book.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from majors_alts_monitor.beta_neutral.books import Books
from majors_alts_monitor.types import MAJORS, Floats, Market

NEWEY_WEST_LAGS: Final = 5
TWO_SIDED_95: Final = 1.959963984540054
WINDOW_DAYS: Final = 91
"""A quarter."""
HORIZON_DAYS: Final = 20
"""Over which a forecast beta is held against what came."""
SMALLEST_REST: Final = 1e-6
"""Of 1 - leverage: a day that alone decides a slope has no residual to divide."""
SMALLEST_INDEX: Final = 6
"""ALTs with a market cap that a day of the size factor needs."""


@dataclass(frozen=True)
class Neutrality:
    """What the returns say about the hedge."""

    rolling: pd.DataFrame
    """Columns of ``rolling_betas``, one row a day."""
    share_neutral: dict[str, float]
    """Per major, share of separate quarters whose 95 % interval holds 0; NaN without a quarter."""
    calibration: pd.DataFrame
    """One row a major: slope, slope_low, slope_high, n_forecasts; NaN with too few forecasts."""
    size_loading: dict[str, float]
    """loading, low, high: of the returns on small minus large ALTs, beside both majors."""


def verify_neutrality(returns: pd.Series[float], market: Market, books: Books) -> Neutrality:
    """Return the verification of a book from its daily net returns.

    Parameters
    ----------
    returns : Series of shape (n_days,)
        ``r_ls_net`` by date; days must be in the market.
    market : Market
        Its own returns are the outcomes.
    books : Books
        Of the same market; their ALT legs are the forecasts.
    """
    simple = pd.DataFrame(market.return_1d, index=market.dates, columns=market.assets)
    majors = simple[list(MAJORS)].reindex(returns.index)
    quarters = rolling_betas(returns, majors, window=WINDOW_DAYS, step=WINDOW_DAYS)
    legs = leg_betas(market, books)
    legs = legs[(legs.index >= returns.index[0]) & (legs.index <= returns.index[-1])]
    return Neutrality(
        rolling=rolling_betas(returns, majors, window=WINDOW_DAYS, step=1),
        share_neutral={major: share_neutral(quarters, major) for major in MAJORS},
        calibration=calibration(legs),
        size_loading=size_loading(returns, majors, size_factor(market)),
    )


def neutrality_figures(returns: pd.Series[float], market: Market, books: Books) -> dict[str, float]:
    """Return the key figures of ``verify_neutrality``, as kpis.json names them.

    beta_slope_<major> (calibration), size_loading, each with _ci_low and _ci_high, and
    quarters_neutral_<major>: the share of separate quarters in which a book was held and whose
    interval holds 0. NaN where there is nothing to judge.
    """
    simple = pd.DataFrame(market.return_1d, index=market.dates, columns=market.assets)
    majors = simple[list(MAJORS)].reindex(returns.index)
    legs = leg_betas(market, books)
    slopes = calibration(legs[(legs.index >= returns.index[0]) & (legs.index <= returns.index[-1])])
    quarters = rolling_betas(returns, majors, window=WINDOW_DAYS, step=WINDOW_DAYS)
    held = returns.ne(0).rolling(WINDOW_DAYS).sum().reindex(quarters.index) > 0
    loading = size_loading(returns, majors, size_factor(market))
    figures: dict[str, float] = {}
    for major in MAJORS:
        name = f"beta_slope_{major.lower()}"
        bounds = slopes.loc[[major], ["slope", "slope_low", "slope_high"]].to_numpy()[0].tolist()
        figures |= dict(zip((name, f"{name}_ci_low", f"{name}_ci_high"), bounds, strict=True))
        figures[f"quarters_neutral_{major.lower()}"] = share_neutral(quarters[held], major)
    figures["size_loading"] = loading["loading"]
    figures["size_loading_ci_low"] = loading["low"]
    figures["size_loading_ci_high"] = loading["high"]
    return figures


def rolling_betas(
    returns: pd.Series[float], majors: pd.DataFrame, *, window: int, step: int
) -> pd.DataFrame:
    """Return the realised betas of each window of days, with 95 % Newey-West intervals.

    Parameters
    ----------
    returns : Series of shape (n_days,)
        Daily returns; days with a missing value on either side are left out of their window.
    majors : DataFrame of shape (n_days, 2)
        Simple daily returns of BTC and ETH on the same days.
    window, step : int
        Days a window has, and days between two windows. The first begins on the first day, so
        that further days add windows and change none.

    Returns
    -------
    DataFrame
        Indexed by the window's last day; columns beta_btc, beta_btc_low, beta_btc_high and the
        same of eth. NaN where BTC and ETH cannot be told apart. Empty with fewer days than one
        window.
    """
    names = [f"beta_{major.lower()}{bound}" for major in MAJORS for bound in ("", "_low", "_high")]
    rows, ends = [], range(window, len(returns) + 1, step)
    y = np.asarray(returns, dtype=np.float64)
    x = np.asarray(majors[list(MAJORS)], dtype=np.float64)
    for end in ends:
        fit = _fit(y[end - window : end], x[end - window : end])
        rows.append(fit[1:3].ravel())
    values = np.array(rows).reshape(-1, len(names))
    return pd.DataFrame(values, index=returns.index[[end - 1 for end in ends]], columns=names)


def share_neutral(windows: pd.DataFrame, major: str) -> float:
    """Return the share of windows whose interval for ``major`` holds 0, NaN without a window."""
    name = f"beta_{major.lower()}"
    low, high = windows[f"{name}_low"].dropna(), windows[f"{name}_high"].dropna()
    return float(((low <= 0) & (high >= 0)).mean()) if len(low) else float("nan")


def leg_betas(market: Market, books: Books) -> pd.DataFrame:
    """Return the ALT leg's forecast betas and what the next 20 days made of them.

    One row every 20 days with a book, so that outcomes do not overlap, indexed by the day of the
    forecast: forecast_btc, forecast_eth, realised_btc, realised_eth, all per unit of the leg's
    gross and with the leg as if it were long. Weights stay as they were on the day; assets
    without a return on all 20 days are left out, on both sides.
    """
    rows: dict[pd.Timestamp, list[float]] = {}
    majors = list(market.major_columns)
    for position in range(0, len(books.rows), HORIZON_DAYS):
        row = books.rows[position]
        after = market.return_1d[row + 1 : row + 1 + HORIZON_DAYS]
        leg = np.flatnonzero((books.weights[position] < 0) & np.isfinite(after).all(axis=0))
        if len(after) < HORIZON_DAYS or not leg.size or np.isnan(after[:, majors]).any():
            continue
        shares = books.weights[position, leg] / books.weights[position, leg].sum()
        forecast = shares @ books.betas[position, leg]
        realised = _fit(after[:, leg] @ shares, after[:, majors])[1:3, 0]
        rows[market.dates[row]] = [*forecast, *realised]
    columns = [f"{kind}_{m.lower()}" for kind in ("forecast", "realised") for m in MAJORS]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("date")


def calibration(legs: pd.DataFrame) -> pd.DataFrame:
    """Return the slope of realised on forecast betas; 1 is calibrated, below 1 is overconfident.

    Parameters
    ----------
    legs : DataFrame
        Of ``leg_betas``.

    Returns
    -------
    DataFrame
        Indexed BTC, ETH; slope with a 95 % interval, and the number of forecasts.
    """
    table = {}
    for major in MAJORS:
        known = legs[[f"forecast_{major.lower()}", f"realised_{major.lower()}"]].dropna()
        forecast, realised = known.to_numpy(dtype=np.float64).T
        # Outcomes do not overlap, so they need no lags.
        table[major] = [*_fit(realised, forecast[:, None], lags=0)[1], len(known)]
    columns = ["slope", "slope_low", "slope_high", "n_forecasts"]
    return pd.DataFrame.from_dict(table, orient="index", columns=columns)


def size_factor(market: Market) -> pd.Series[float]:
    """Return each day's return of small over large eligible ALTs, NaN with fewer than 6.

    Halves by yesterday's market cap as known today (the middle one left out), equally weighted;
    ties go by ``asset_id``.
    """
    caps, returns = market.previous_market_cap_usd, market.return_1d
    factor = np.full(len(market.dates), np.nan)
    is_used = market.is_eligible & market.is_alt & np.isfinite(caps) & np.isfinite(returns)
    for row in np.flatnonzero(is_used.sum(axis=1) >= SMALLEST_INDEX):
        columns = np.flatnonzero(is_used[row])
        ordered = returns[row, columns[np.argsort(caps[row, columns], kind="stable")]]
        half = ordered.size // 2
        factor[row] = (ordered[:half].sum() - ordered[-half:].sum()) / half
    return pd.Series(factor, index=market.dates, name="small_minus_large")


def size_loading(
    returns: pd.Series[float], majors: pd.DataFrame, size: pd.Series[float]
) -> dict[str, float]:
    """Return the loading of ``returns`` on the size factor beside both majors, with its interval.

    Negative: the book loses when small ALTs beat large ones.
    """
    x = np.column_stack([majors[list(MAJORS)], size.reindex(returns.index)]).astype(np.float64)
    y = np.asarray(returns, dtype=np.float64)
    loading, low, high = _fit(y, x)[3]
    return {"loading": float(loading), "low": float(low), "high": float(high)}


def _fit(y: Floats, x: Floats, lags: int = NEWEY_WEST_LAGS) -> Floats:
    """Return (coefficient, low, high) per row: the constant, then each column of ``x``.

    95 % interval from Newey and West's covariance, with residuals divided by 1 - leverage. A
    quarter is short and returns have fat tails: without that the interval holds the truth in
    hardly nine of ten quarters. NaN when the columns cannot be told apart.

    References
    ----------
    .. [1] J. MacKinnon, H. White (1985), "Some heteroskedasticity-consistent covariance matrix
       estimators with improved finite sample properties", Journal of Econometrics 29.
    """
    is_known = np.isfinite(y) & np.isfinite(x).all(axis=1)
    X = np.column_stack([np.ones(int(is_known.sum())), x[is_known]])
    n, k = X.shape
    if n <= k or np.linalg.matrix_rank(X) < k:
        return np.full((k, 3), np.nan)
    inverse = np.linalg.inv(X.T @ X)
    coefficients = inverse @ (X.T @ y[is_known])
    unexplained = np.maximum(1 - ((X @ inverse) * X).sum(axis=1), SMALLEST_REST)
    scores = X * ((y[is_known] - X @ coefficients) / unexplained)[:, None]
    meat = scores.T @ scores
    for lag in range(1, min(lags, n - 1) + 1):
        shifted = scores[lag:].T @ scores[:-lag]
        meat += (1 - lag / (lags + 1)) * (shifted + shifted.T)
    reach = TWO_SIDED_95 * np.sqrt(np.diag(inverse @ meat @ inverse))
    return np.stack([coefficients, coefficients - reach, coefficients + reach], axis=1)
