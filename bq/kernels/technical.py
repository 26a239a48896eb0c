"""Rolling measures of daily bars, symbol by symbol, over the bars that each symbol has.

A day without a bar is no observation: windows count bars. After its first bar the last known value of every measure
stands on such days too; `Measures.present` tells them apart. Arrays are (n_sessions, n_symbols) in Fortran order: a
symbol's days lie side by side.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bq.kernels.running import LOST, largest, spoilt

FAST, SLOW = 20, 55  # sessions of the highs that a breakout exceeds
SLOPE = 20  # bars over which an average's slope is taken
ATR, ATR_MEAN = 14, 60
LIQUIDITY, VOLATILITY = 20, 20
MOMENTUM, CORRELATION = 60, 60
MIN_BARS = 40  # of a correlation window, for a symbol to count
STILL = 1e-12  # sum of squares over such a window: no more is rounding, and the symbol does not move

Array = NDArray[np.float64]


class Measures(NamedTuple):
    """What is known of every symbol at the close of every session; NaN until its window is full."""

    present: NDArray[np.bool_]  # whether there is a bar
    open: Array  # of that bar; NaN where there is none, as `low`
    low: Array
    close: Array
    fast_high: Array  # highest close of the 20 bars before this one
    slow_high: Array  # of the 55 bars before
    atr: Array  # mean true range of 14 bars
    atr_ratio: Array  # the same over its mean of 60 bars
    dollars: Array  # mean dollar volume of 20 bars
    volatility: Array  # standard deviation (ddof 0) of 20 log returns
    momentum: Array  # close over the close 60 bars before, over the same of the benchmark on the same sessions, minus 1
    returns: Array  # log return since the last bar; 0 on days without a bar
    bars: NDArray[np.int64]  # number of bars so far


@njit(cache=True)
def _mean(x, length, out):
    """Mean of the last `length` values."""
    out[:] = np.nan
    total = peak = 0.0
    for t in range(x.size):
        total += x[t]
        peak = largest(peak, total)
        if t >= length:
            total -= x[t - length]
            if spoilt(peak, total):
                total = 0.0
                for k in range(t - length + 1, t + 1):
                    total += x[k]
                peak = abs(total)
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
    total = squares = peak = 0.0
    for t in range(1, x.size):
        total += x[t]
        squares += x[t] * x[t]
        peak = largest(peak, squares)
        if t > length:
            total -= x[t - length]
            squares -= x[t - length] * x[t - length]
            if spoilt(peak, squares):
                total = squares = 0.0
                for k in range(t - length + 1, t + 1):
                    total += x[k]
                    squares += x[k] * x[k]
                peak = squares
        if t >= length:
            mean = total / length
            out[t] = np.sqrt(max(squares / length - mean * mean, 0.0))


@njit(cache=True)
def _spread(values, at, column):
    """Write the values of a symbol's bars into its column, each kept until the next bar."""
    first = at[0] if at.size else column.size
    column[:first] = np.nan
    if column.size - first == at.size:  # a bar on each
        column[first:] = values
        return
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
def _measure_symbol(i, at, high, low, close, dollars, benchmark, out):
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
    _true_range(high, low, close, work)
    _mean(work, ATR, result)
    _spread(result, at, out.atr[:, i])
    known = min(ATR - 1, n)
    work[:] = np.nan
    _mean(result[known:], ATR_MEAN, work[known:])
    _spread(result / work, at, out.atr_ratio[:, i])
    _mean(dollars, LIQUIDITY, result)
    _spread(result, at, out.dollars[:, i])
    _deviation(returns, VOLATILITY, result)
    _spread(result, at, out.volatility[:, i])
    for k in range(n):
        result[k] = np.nan
        if k >= MOMENTUM:
            market = benchmark[at[k]] / benchmark[at[k - MOMENTUM]]
            result[k] = close[k] / close[k - MOMENTUM] - market
    _spread(result, at, out.momentum[:, i])


@njit(cache=True)
def _traded(amount):
    """What was traded, 0 where unknown."""
    return np.where(amount == amount, amount, 0.0)


@njit(cache=True, nogil=True)
def measure_into(high, low, close, turnover, benchmark, out):
    """Fill `out`, beyond `present`, `open` and `low`, from bars of shape (n_sessions, n_symbols), NaN where none is.

    turnover : NaN counts as 0. benchmark : level of shape (n_sessions,), NaN where unknown.
    """
    for i in range(close.shape[1]):
        at = np.flatnonzero(out.present[:, i])
        number = 0
        for t in range(close.shape[0]):
            number += out.present[t, i]
            out.bars[t, i] = number
            out.returns[t, i] = 0.0
        dollars = _traded(turnover[:, i][at])
        _measure_symbol(i, at, high[:, i][at], low[:, i][at], close[:, i][at], dollars, benchmark, out)


@njit(cache=True)
def volume_ratio_into(volume, present, out):
    """Fill the volume of each bar over the mean of the 20 before."""
    for i in range(volume.shape[1]):
        at = np.flatnonzero(present[:, i])
        traded, before = _traded(volume[:, i][at]), np.empty(at.size)
        _mean(traded, LIQUIDITY, before)
        for k in range(at.size - 1, -1, -1):
            traded[k] = traded[k] / before[k - 1] if k >= LIQUIDITY and before[k - 1] > 0.0 else np.nan
        _spread(traded, at, out[:, i])


@njit(cache=True, nogil=True)
def average_into(close, present, length, level, slope):
    """Fill the mean of the last `length` closes, and that over itself 20 bars before, minus 1."""
    for i in range(close.shape[1]):
        at = np.flatnonzero(present[:, i])
        result = np.empty(at.size)
        _mean(close[:, i][at], length, result)
        _spread(result, at, level[:, i])
        for k in range(at.size - 1, -1, -1):
            result[k] = result[k] / result[k - SLOPE] - 1.0 if k >= SLOPE else np.nan
        _spread(result, at, slope[:, i])


@njit(cache=True)
def median_up_to(values, n, high):
    """Median of the n values that are not NaN, known to lie within [0, high].

    Found by halving the range: counting is four comparisons at a time, sorting a guess at each.
    """
    low, half = 0.0, (n + 1) // 2
    for _ in range(64):
        middle, count = 0.5 * (low + high), 0
        for k in range(values.size):
            count += values[k] <= middle
        if count == half:
            high = middle
            break
        low, high = (middle, high) if count < half else (low, middle)
    below, above = 0.0, np.inf
    for k in range(values.size):
        if values[k] <= high:
            below = max(below, values[k])
        elif values[k] > high:
            above = min(above, values[k])
    return 0.5 * (below + above) if count == half and n % 2 == 0 else below


@njit(cache=True)
def breakouts(m):
    """Sessions and symbols of all closes at or above the highest of the 20 before, sorted by session and symbol.

    Where every measure is known and the range is not 0.
    """
    sessions, symbols = m.close.shape
    begin = np.zeros(sessions + 1, np.int64)  # of each session's; first its number of breakouts, one place later
    found = np.zeros((symbols, sessions), np.bool_)
    for i in range(symbols):
        for t in range(sessions):
            if m.present[t, i] and m.close[t, i] >= m.fast_high[t, i] and m.atr[t, i] > 0.0:
                found[i, t] = np.isfinite(m.slow_high[t, i] + m.atr_ratio[t, i] + m.momentum[t, i])
                begin[t + 1] += found[i, t]
    begin = np.cumsum(begin)
    session, symbol = np.empty(begin[-1], np.int64), np.empty(begin[-1], np.int64)
    for i in range(symbols):
        for t in range(sessions):
            if found[i, t]:
                session[begin[t]], symbol[begin[t]] = t, i
                begin[t] += 1
    return session, symbol


@njit(cache=True)
def standardised(returns, t, out):
    """Fill the returns of the 60 sessions up to t less their mean, of unit length; whether they move at all.

    The product of two such windows is their correlation. Without movement the window is 0.
    """
    first = t + 1 - out.size
    mean = squares = 0.0
    for k in range(out.size):
        mean += returns[first + k]
    mean /= out.size
    for k in range(out.size):
        out[k] = returns[first + k] - mean
        squares += out[k] * out[k]
    out *= 1.0 / np.sqrt(squares) if squares > STILL else 0.0
    return squares > STILL


@njit(cache=True)
def _move(sums, squares, returns, by_session, t):
    """Sums of returns and of their squares over the 60 sessions up to t, from those up to t − 1; anew at times.

    A symbol's are made anew too where what leaves is so large that its rounding would stay.
    """
    anew = t % CORRELATION == 0
    if anew:
        sums[:] = 0.0
        squares[:] = 0.0
    for k in range(t + 1 - CORRELATION if anew else t, t + 1):
        came = by_session[k]
        for i in range(came.size):
            sums[i] += came[i]
            squares[i] += came[i] * came[i]
    gone = by_session[t - CORRELATION]
    for i in range(0 if anew else gone.size):
        sums[i] -= gone[i]
        squares[i] -= gone[i] * gone[i]
    for i in range(0 if anew else gone.size):
        if gone[i] * gone[i] > LOST * abs(squares[i]):
            sums[i] = squares[i] = 0.0
            for k in range(t + 1 - CORRELATION, t + 1):
                sums[i] += returns[k, i]
                squares[i] += returns[k, i] * returns[k, i]


@njit(cache=True)
def _add(values, mean, weight, total):
    """Add (values − mean) × weight to total."""
    for k in range(values.size):
        total[k] += (values[k] - mean) * weight


@njit(cache=True, nogil=True)
def average_correlation(returns, by_session, bars, begin, end, out):
    """Fill the sessions from `begin` to before `end` of `out`: mean correlation of each symbol with all others.

    Over the 60 sessions up to each; only symbols with a bar on at least 40 of them count, the rest stays as it is. The
    sum of a symbol's correlations is its product with the sum of all symbols' standardised returns, less its own.
    returns : Fortran order. by_session : the same in C order, so that each sum runs along its memory.
    """
    symbols = returns.shape[1]
    sums, squares, scale, product = np.zeros(symbols), np.zeros(symbols), np.zeros(symbols), np.zeros(symbols)
    total, counts = np.zeros(CORRELATION), np.zeros(symbols, np.bool_)
    for t in range(max(begin - begin % CORRELATION, CORRELATION), end):  # sums are made anew there: no matter the begin
        first = t + 1 - CORRELATION
        _move(sums, squares, returns, by_session, t)
        total[:] = 0.0
        product[:] = 0.0
        for i in range(symbols):
            deviations = squares[i] - sums[i] * sums[i] / CORRELATION
            scale[i] = 1.0 / np.sqrt(deviations) if deviations > STILL else 0.0
            counts[i] = bars[t, i] - bars[t - CORRELATION, i] >= MIN_BARS
            if counts[i]:
                _add(returns[first : t + 1, i], sums[i] / CORRELATION, scale[i], total)
        for k in range(CORRELATION):
            _add(by_session[first + k], 0.0, total[k], product)
        others = counts.sum() - 1
        for i in range(symbols if others > 0 else 0):
            if counts[i]:
                out[t, i] = (product[i] * scale[i] - (scale[i] > 0.0)) / others
