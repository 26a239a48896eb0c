"""Volatility forecasts from closes, and the implied-volatility proxy used where no chain is quoted."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HORIZON_DAYS = 30  # calendar days, as the VIX
LAGS = (1, 5, 22, 66)  # sessions
MIN_PAIRS = 252


def har_volatility(closes: Array, *, periods_per_year: int) -> Array:
    """Expected volatility of the sessions of the next thirty days, annualised decimal, at every bar.

    closes : array of shape (n_bars,), continuous through splits. periods_per_year : sessions, of the market's calendar.
    Returns shape (n_bars,); NaN until 252 forecasts could have been checked (about 340 bars). The value at t uses
    closes up to t.

    A heterogeneous autoregression (Corsi 2009, doi:10.1093/jjfinec/nbp001) on root mean squared daily returns over
    1, 5, 22 and 66 sessions, its coefficients re-estimated at every bar on all pairs that had matured by then.
    """
    n, horizon = len(closes), horizon_sessions(periods_per_year)
    forecast = np.full(n, np.nan)
    squared = np.square(np.diff(np.log(closes), prepend=np.nan))
    features = np.column_stack([np.ones(n), *(np.sqrt(_mean_of_last(squared, lag)) for lag in LAGS)])
    realised = np.full(n, np.nan)
    realised[:-horizon] = np.sqrt(_mean_of_last(squared, horizon))[horizon:]
    usable = np.isfinite(features).all(axis=1) & np.isfinite(realised)
    x, y = np.where(usable[:, None], features, 0.0), np.where(usable, realised, 0.0)
    gram = np.cumsum(x[:, :, None] * x[:, None, :], axis=0)
    moment = np.cumsum(x * y[:, None], axis=0)
    matured = np.arange(n) - horizon  # the newest pair known at t started a horizon ago
    known = (
        (matured >= 0) & (np.cumsum(usable)[np.maximum(matured, 0)] >= MIN_PAIRS) & np.isfinite(features).all(axis=1)
    )
    ridge = 1e-10 * np.eye(x.shape[1])  # a price that never moves must not make the system singular
    coefficients = np.linalg.solve(gram[matured[known]] + ridge, moment[matured[known]][:, :, None])[:, :, 0]
    daily = (features[known] * coefficients).sum(axis=1)
    # a linear forecast can leave the range of what was seen: hold it to a quarter of the three-month volatility
    forecast[known] = np.maximum(daily, 0.25 * features[known, -1]) * np.sqrt(periods_per_year)
    return forecast


def horizon_sessions(periods_per_year: int) -> int:
    """Sessions in thirty days of a calendar.

    >>> horizon_sessions(252), horizon_sessions(365)
    (21, 30)
    """
    return round(HORIZON_DAYS / 365 * periods_per_year)


def iv_proxy(closes: Array, quoted_iv: Array, *, premium: float, periods_per_year: int) -> Array:
    """Thirty-day at-the-money implied volatility, annualised decimal, at every bar.

    The market's own figure where there is one (`quoted_iv`, NaN elsewhere), else `har_volatility` × `premium`, the
    ratio at which implied volatility stands to that forecast. The value at t uses data up to t.
    """
    forecast = har_volatility(closes, periods_per_year=periods_per_year)
    return np.where(np.isfinite(quoted_iv), quoted_iv, forecast * premium)


def trailing_percentile(values: Array, at: NDArray[np.int64] | None = None, *, window: int = 252) -> Array:
    """Share of the `window` values before each that lie below it, in [0, 1]; NaN until all of them are known.

    at : the positions that are asked for, of which one may be asked for twice; None for all.
    """
    at = np.arange(len(values)) if at is None else at
    share = np.full(len(at), np.nan)
    late = at >= window
    if late.any():
        views = np.lib.stride_tricks.sliding_window_view(values, window + 1)[at[late] - window]
        known = np.isfinite(views).all(axis=1)
        share[np.flatnonzero(late)[known]] = (views[known, :-1] < views[known, -1:]).mean(axis=1)
    return share


def _mean_of_last(values: Array, length: int) -> Array:
    """Mean of the last `length` values at each position, NaN until all are there."""
    means = np.full(len(values), np.nan)
    if len(values) >= length:
        means[length - 1 :] = np.lib.stride_tricks.sliding_window_view(values, length).mean(axis=1)
    return means
