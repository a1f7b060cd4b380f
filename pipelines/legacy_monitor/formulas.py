"""The previous monitor's score, exactly as it was; a reference, not the main system.

Returns are in percent and funding is a fraction per 8 hours. With ``r1``, ``r7`` a coin's 1- and
7-day returns and ``x3 = 0.5 (3/7 r7 + r1/3)``:

    trend        = clamp(((btc7 - alt7) / (|btc7| + 0.001)) / 3, -1, 1),   alt7 = mean ALT r7
    breadth      = share of ALTs whose x3 is above BTC's
    heating      = mean of the last 10 - mean of the last 20 of (mean ALT - BTC funding)
    funding_risk = clip(heating / 0.0005, 0, 1), and 0.5 with fewer than 20 points
    oi_risk      = clamp(72-hour change of BTC's open interest in percent / 50, 0, 1) when the
                   change is positive, halved when BTC's x3 <= 0
    combined     = clamp(trend - 0.25 funding_risk - 0.15 oi_risk - 0.10 breadth, -1, 1)
    score        = 50 (combined + 1), at most 60 when |btc7| > 15

Buckets: GREEN from 70, YELLOWGREEN from 55, YELLOW from 45, ORANGE from 30, else RED. A missing
input is empty and makes the score empty; it is never taken as 0.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

COLUMNS: Final = (
    "date_iso",
    "btc_1d",
    "btc_7d",
    "alt_7d_avg",
    "spread7",
    "avg_alt_funding",
    "btc_funding",
    "funding_spread",
    "funding_heating",
    "funding_risk",
    "oi_change_3d",
    "breadth_3d",
    "regime_score",
    "bucket",
)
BUCKETS: Final = ((70.0, "GREEN"), (55.0, "YELLOWGREEN"), (45.0, "YELLOW"), (30.0, "ORANGE"))
SHORT, LONG = 10, 20
HOT: Final = 0.0005
WILD_WEEK_PCT: Final = 15.0
CAP: Final = 60.0


def history(
    closes: pd.DataFrame, funding_8h: pd.DataFrame, btc_open_interest: pd.Series[float]
) -> pd.DataFrame:
    """Return the monitor's row of every day.

    Parameters
    ----------
    closes : DataFrame of shape (n_days, n_assets)
        USD, by calendar day, every day; one column is ``BTC``, all others are ALTs.
    funding_8h : DataFrame of shape (n_days, n_funded)
        Mean rate per 8 hours of the day, a fraction; columns are a subset of the assets.
    btc_open_interest : Series of shape (n_days,)
        USD at the end of the day.

    Returns
    -------
    DataFrame of shape (n_days, 14)
        ``COLUMNS``; missing values are NaN, an empty bucket is an empty text.
    """
    day_return = 100 * (closes / closes.shift(1) - 1)
    week_return = 100 * (closes / closes.shift(7) - 1)
    three_days = 0.5 * (week_return * 3 / 7 + day_return / 3)
    alts = [asset for asset in closes.columns if asset != "BTC"]

    btc_7d, alt_7d = week_return["BTC"], week_return[alts].mean(axis="columns")
    ahead = three_days[alts].gt(three_days["BTC"], axis="index")
    is_known = three_days[alts].notna() & three_days[["BTC"]].notna().to_numpy()
    count = is_known.sum(axis="columns").astype(float)
    breadth = (ahead & is_known).sum(axis="columns") / count.where(count > 0)
    funded = [asset for asset in alts if asset in funding_8h.columns]
    alt_funding = funding_8h[funded].mean(axis="columns").reindex(closes.index)
    btc_funding = funding_8h.get("BTC", pd.Series(dtype=float)).reindex(closes.index)
    spread = alt_funding - btc_funding
    heating = heat(spread)
    change = 100 * (btc_open_interest / btc_open_interest.shift(3) - 1).reindex(closes.index)

    risk = (heating / HOT).clip(0, 1).fillna(0.5)
    scores = regime_score(btc_7d, alt_7d, risk, oi_risk(change, three_days["BTC"]), breadth)
    return pd.DataFrame(
        {
            "date_iso": pd.DatetimeIndex(closes.index).strftime("%Y-%m-%d"),
            "btc_1d": day_return["BTC"],
            "btc_7d": btc_7d,
            "alt_7d_avg": alt_7d,
            "spread7": btc_7d - alt_7d,
            "avg_alt_funding": alt_funding,
            "btc_funding": btc_funding,
            "funding_spread": spread,
            "funding_heating": heating,
            "funding_risk": risk,
            "oi_change_3d": change,
            "breadth_3d": breadth,
            "regime_score": scores,
            "bucket": [bucket(score) for score in scores],
        }
    ).reset_index(drop=True)


def heat(spread: pd.Series[float]) -> pd.Series[float]:
    """Return mean of the last 10 minus mean of the last 20 points known up to each day.

    Examples
    --------
    Twenty points that step from 0 to 1 half way: 1 - 0.5.

    >>> float(heat(pd.Series([0.0] * 10 + [1.0] * 10)).iloc[-1])
    0.5
    """
    known = spread.dropna()
    points = known.rolling(SHORT).mean() - known.rolling(LONG).mean()
    return points.reindex(spread.index).where(spread.notna()).ffill()


def oi_risk(change_pct: pd.Series[float], btc_three_days: pd.Series[float]) -> pd.Series[float]:
    """Return the open-interest risk, 0 to 1; missing where its input is.

    Examples
    --------
    >>> oi_risk(pd.Series([25.0, 25.0, -5.0]), pd.Series([1.0, -1.0, 1.0])).tolist()
    [0.5, 0.25, 0.0]
    """
    risk = (change_pct / 50).clip(0, 1)
    halved = risk.where(btc_three_days > 0, risk / 2)
    return halved.where(change_pct.notna() & btc_three_days.notna())


def regime_score(
    btc_7d: pd.Series[float],
    alt_7d: pd.Series[float],
    funding_risk: pd.Series[float],
    open_interest_risk: pd.Series[float],
    breadth: pd.Series[float],
) -> pd.Series[float]:
    """Return the score, 0 to 100; missing where an input is.

    Examples
    --------
    BTC +6 %, alts +3 %: trend (3 / 6.001) / 3 = .1666; combined .1666 - .125 - .15 x 0 - .05.

    >>> one = lambda x: pd.Series([x])
    >>> round(float(regime_score(one(6.0), one(3.0), one(0.5), one(0.0), one(0.5)).iloc[0]), 4)
    49.5819
    """
    trend = (((btc_7d - alt_7d) / (btc_7d.abs() + 0.001)) / 3).clip(-1, 1)
    combined = trend - 0.25 * funding_risk - 0.15 * open_interest_risk - 0.10 * breadth
    score = 50 * (combined.clip(-1, 1) + 1)
    return score.where(~(btc_7d.abs() > WILD_WEEK_PCT), score.clip(upper=CAP))


def bucket(score: float) -> str:
    """Return the colour of a score; empty for a missing one.

    Examples
    --------
    >>> [bucket(s) for s in (70.0, 69.9, 45.0, 29.9, float("nan"))]
    ['GREEN', 'YELLOWGREEN', 'YELLOW', 'RED', '']
    """
    if np.isnan(score):
        return ""
    return next((name for bound, name in BUCKETS if score >= bound), "RED")
