"""Rolling measures of daily bars, symbol by symbol, over the bars that each symbol has.

A day without a bar is no observation: windows count bars. After its first bar the last known value of every measure
stands on such days too; `Measures.present` tells them apart. Arrays are (n_sessions, n_symbols) in Fortran order: a
symbol's days lie side by side.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

FAST, SLOW = 20, 55  # sessions of the highs that a breakout exceeds
AVERAGES = (20, 50, 100)  # lengths of the moving averages
SLOPE = 20  # bars over which an average's slope is taken
ATR, ATR_MEAN = 14, 60
LIQUIDITY, VOLATILITY = 20, 20
MOMENTUM, CORRELATION = 60, 60
MIN_BARS = 40  # of a correlation window, for a symbol to count

Array = NDArray[np.float64]


class Measures(NamedTuple):
    """What is known of every symbol at the close of every session; NaN until its window is full."""

    present: NDArray[np.bool_]  # whether there is a bar
    open: Array  # of that bar; NaN where there is none, as `low`
    low: Array
    close: Array
    fast_high: Array  # highest close of the 20 bars before this one
    slow_high: Array  # of the 55 bars before
    averages: Array  # (3, n_sessions, n_symbols): moving averages of the close
    slopes: Array  # each average over itself 20 bars before, minus 1
    atr: Array  # mean true range of 14 bars
    atr_ratio: Array  # the same over its mean of 60 bars
    dollars: Array  # mean dollar volume of 20 bars
    volume_ratio: Array  # volume over the mean of the 20 bars before
    volatility: Array  # standard deviation (ddof 0) of 20 log returns
    momentum: Array  # close over the close 60 bars before, over the same of the benchmark on the same sessions, minus 1
    returns: Array  # log return since the last bar; 0 on days without a bar
    bars: NDArray[np.int64]  # number of bars so far


@njit(cache=True)
def _mean(x, length, out):
    """Mean of the last `length` values."""
    out[:] = np.nan
    total = 0.0
    for t in range(x.size):
        total += x[t]
        if t >= length:
            total -= x[t - length]
        if t >= length - 1:
            out[t] = total / length


@njit(cache=True)
def _highest_before(x, length, out):
    """Highest of the `length` values before each; looked for anew only when the highest leaves the window."""
    out[:] = np.nan
    at = -1
    for t in range(length, x.size):
        if at < t - length:
            at = t - length
            for k in range(t - length + 1, t):
                if x[k] >= x[at]:
                    at = k
        elif x[t - 1] >= x[at]:
            at = t - 1
        out[t] = x[at]


@njit(cache=True)
def _deviation(x, length, out):
    """Standard deviation (ddof 0) of the last `length` values, the first value of all left out."""
    out[:] = np.nan
    total = squares = 0.0
    for t in range(1, x.size):
        total += x[t]
        squares += x[t] * x[t]
        if t > length:
            total -= x[t - length]
            squares -= x[t - length] * x[t - length]
        if t >= length:
            mean = total / length
            out[t] = np.sqrt(max(squares / length - mean * mean, 0.0))


@njit(cache=True)
def _spread(values, at, column):
    """Write the values of a symbol's bars into its column, each kept until the next bar."""
    column[: at[0] if at.size else column.size] = np.nan
    for k in range(at.size):
        end = at[k + 1] if k + 1 < at.size else column.size
        for t in range(at[k], end):
            column[t] = values[k]


@njit(cache=True)
def _true_range(high, low, close, out):
    for t in range(close.size):
        before = close[t - 1] if t > 0 else close[t]
        out[t] = max(high[t], before) - min(low[t], before)


@njit(cache=True)
def _measure_symbol(i, at, high, low, close, volume, dollars, benchmark, out):
    """Fill column i of every measure; the first arrays are of the symbol's bars, `at` their sessions."""
    n = at.size
    result, work, returns = np.empty(n), np.empty(n), np.zeros(n)
    for k in range(1, n):
        returns[k] = np.log(close[k] / close[k - 1])
        out.returns[at[k], i] = returns[k]
    _spread(close, at, out.close[:, i])
    _highest_before(close, FAST, result)
    _spread(result, at, out.fast_high[:, i])
    _highest_before(close, SLOW, result)
    _spread(result, at, out.slow_high[:, i])
    for a in range(len(AVERAGES)):
        _mean(close, AVERAGES[a], result)
        _spread(result, at, out.averages[a][:, i])
        for k in range(n - 1, -1, -1):
            result[k] = result[k] / result[k - SLOPE] - 1.0 if k >= SLOPE else np.nan
        _spread(result, at, out.slopes[a][:, i])
    _true_range(high, low, close, work)
    _mean(work, ATR, result)
    _spread(result, at, out.atr[:, i])
    known = min(ATR - 1, n)
    work[:] = np.nan
    _mean(result[known:], ATR_MEAN, work[known:])
    _spread(result / work, at, out.atr_ratio[:, i])
    _mean(dollars, LIQUIDITY, result)
    _spread(result, at, out.dollars[:, i])
    _mean(volume, LIQUIDITY, result)
    for k in range(n):
        work[k] = volume[k] / result[k - 1] if k >= LIQUIDITY and result[k - 1] > 0.0 else np.nan
    _spread(work, at, out.volume_ratio[:, i])
    _deviation(returns, VOLATILITY, result)
    _spread(result, at, out.volatility[:, i])
    for k in range(n):
        result[k] = np.nan
        if k >= MOMENTUM:
            market = benchmark[at[k]] / benchmark[at[k - MOMENTUM]]
            result[k] = close[k] / close[k - MOMENTUM] - market
    _spread(result, at, out.momentum[:, i])


@njit(cache=True, nogil=True)
def measure_into(high, low, close, volume, dollars, benchmark, out):
    """Fill `out`, beyond `present`, `open` and `low`, from bars of shape (n_sessions, n_symbols), NaN where none is.

    volume, dollars : unknown is 0. benchmark : level of shape (n_sessions,), NaN where unknown.
    """
    for i in range(close.shape[1]):
        at = np.flatnonzero(out.present[:, i])
        for t in range(close.shape[0]):
            out.bars[t, i] = (out.bars[t - 1, i] if t > 0 else 0) + (1 if out.present[t, i] else 0)
        _measure_symbol(
            i, at, high[:, i][at], low[:, i][at], close[:, i][at], volume[:, i][at], dollars[:, i][at], benchmark, out
        )


@njit(cache=True)
def _deviations_of(returns, first, end, deviations):
    """Fill the returns of sessions first … end − 1 less their mean, divided by the root of their sum of squares."""
    n = end - first
    mean = squares = 0.0
    for k in range(n):
        mean += returns[first + k]
    mean /= n
    for k in range(n):
        deviations[k] = returns[first + k] - mean
        squares += deviations[k] * deviations[k]
    scale = 1.0 / np.sqrt(squares) if squares > 0.0 else 0.0
    for k in range(n):
        deviations[k] *= scale


@njit(cache=True)
def correlation(returns, t, i, j):
    """Correlation of two symbols' returns over the 60 sessions up to t; 0 where one of them does not move."""
    first = max(t + 1 - CORRELATION, 0)
    a, b = np.empty(t + 1 - first), np.empty(t + 1 - first)
    _deviations_of(returns[:, i], first, t + 1, a)
    _deviations_of(returns[:, j], first, t + 1, b)
    total = 0.0
    for k in range(a.size):
        total += a[k] * b[k]
    return total


@njit(cache=True)
def _moments(window, mean, scale):
    """Mean of each symbol's returns, and 1 / root of their sum of squares about it, 0 where it does not move."""
    sessions, symbols = window.shape
    mean[:] = 0.0
    scale[:] = 0.0
    for k in range(sessions):
        for i in range(symbols):
            mean[i] += window[k, i]
    for i in range(symbols):
        mean[i] /= sessions
    for k in range(sessions):
        for i in range(symbols):
            deviation = window[k, i] - mean[i]
            scale[i] += deviation * deviation
    for i in range(symbols):
        scale[i] = 1.0 / np.sqrt(scale[i]) if scale[i] > 0.0 else 0.0


@njit(cache=True, nogil=True)
def average_correlation(returns, by_session, bars, begin, end, out):
    """Fill the sessions from `begin` to before `end` of `out`: mean correlation of each symbol with all others.

    Over the 60 sessions up to each; only symbols with a bar on at least 40 of them count, the rest stays as it is. The
    sum of a symbol's correlations is its product with the sum of all symbols' standardised returns, less its own.
    returns : Fortran order. by_session : the same in C order, so that each sum runs along its memory.
    """
    symbols = returns.shape[1]
    mean, scale, product = np.zeros(symbols), np.zeros(symbols), np.zeros(symbols)
    total, counts = np.zeros(CORRELATION), np.zeros(symbols, np.bool_)
    for t in range(max(begin, CORRELATION), end):
        first = t + 1 - CORRELATION
        window = by_session[first : t + 1]
        _moments(window, mean, scale)
        total[:] = 0.0
        product[:] = 0.0
        for i in range(symbols):
            counts[i] = bars[t, i] - bars[t - CORRELATION, i] >= MIN_BARS
            for k in range(CORRELATION if counts[i] else 0):
                total[k] += (returns[first + k, i] - mean[i]) * scale[i]
        for k in range(CORRELATION):
            for i in range(symbols):
                product[i] += (window[k, i] - mean[i]) * total[k]
        others = counts.sum() - 1
        for i in range(symbols if others > 0 else 0):
            if counts[i]:
                out[t, i] = (product[i] * scale[i] - (scale[i] > 0.0)) / others
