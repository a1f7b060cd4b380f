"""What a trade and a settlement cost, in USD."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from majors_alts_monitor.types import Floats


def impact_cost(
    trade_usd: npt.ArrayLike, adv_usd: npt.ArrayLike, sigma: npt.ArrayLike, coefficient: float
) -> float | Floats:
    r"""Return the market impact of trades in USD: :math:`Y \sigma |q|^{3/2} / \sqrt{ADV}`.

    Parameters
    ----------
    trade_usd : float or array
        Size traded, USD, of either sign.
    adv_usd : float or array
        Average daily volume, USD.
    sigma : float or array
        Daily volatility, fraction.
    coefficient : float
        Y, of order 1; 0 switches impact off.

    Returns
    -------
    float or array
        USD, >= 0; 0 where volume or volatility is unknown or the volume is 0.

    References
    ----------
    .. [1] B. Toth et al. (2011), "Anomalous Price Impact and the Critical Nature of Liquidity
       in Financial Markets", Physical Review X 1, 021006.

    Examples
    --------
    1 % of a day's volume at 5 % volatility moves the price by 5 % x 0.1 = 50 bps.

    >>> round(impact_cost(200e3, 20e6, 0.05, 1.0), 6)
    1000.0
    """
    size = np.abs(np.asarray(trade_usd, dtype=np.float64))
    volume = np.asarray(adv_usd, dtype=np.float64)
    volatility = np.asarray(sigma, dtype=np.float64)
    is_known = (volume > 0) & (volatility >= 0) & ~np.isnan(size)
    share = np.where(is_known, size, 0.0) / np.where(is_known, volume, 1.0)
    cost = coefficient * np.where(is_known, volatility * size, 0.0) * np.sqrt(share)
    return float(cost) if cost.ndim == 0 else cost


def funding_cash(quantity: npt.ArrayLike, marks: npt.ArrayLike, rates: npt.ArrayLike) -> float:
    """Return the cash received over settlements, USD; negative when it is paid.

    Parameters
    ----------
    quantity : float or array
        Coins held at each settlement, shorts negative.
    marks : float or array
        Mark price at each settlement, USD.
    rates : float or array
        Funding rate per settlement, fraction of notional; longs pay a positive rate.

    Examples
    --------
    A short of 10 coins earns positive rates: 10 x (100 - 0.5 x 102 + 3 x 99) bp.

    >>> round(funding_cash(-10, [100, 102, 99], [0.0001, -0.00005, 0.0003]), 12)
    0.346
    """
    held = np.asarray(quantity, dtype=np.float64)
    paid = held * np.asarray(marks, dtype=np.float64) * np.asarray(rates, dtype=np.float64)
    return float(-np.sum(paid))
