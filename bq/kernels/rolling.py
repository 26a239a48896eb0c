"""Alpha factors of daily bars, symbol by symbol.

A symbol is one row of a matrix of shape (n_symbols, n_sessions) whose columns are the sessions of the exchange; where
it has no bar the matrix holds NaN. A rolling figure is taken over the values there are, and missing where fewer than
four in five of its window are there. Sums run in float64, results are float32. The value at a session uses that
session and earlier ones alone.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bq.kernels.running import largest, spoilt

Array = NDArray[np.float64]

AWAY = 1e6  # times the sum of squares about the mean: so far from the values is the level that they are taken from
NOTHING = 1e-16  # variance of returns, and the like, below which a window is constant


@njit(cache=True, error_model="numpy")
def _needed(window):
    """Values that a window must hold: four in five."""
    return window - window // 5


@njit(cache=True, error_model="numpy")
def _mean(x, window, out):
    """Rolling mean."""
    total = peak = 0.0
    count = 0
    for t in range(x.size):
        if x[t] == x[t]:
            total += x[t]
            count += 1
        if t >= window and x[t - window] == x[t - window]:
            total -= x[t - window]
            count -= 1
        peak = largest(peak, total)
        if spoilt(peak, total):
            total = 0.0
            for k in range(max(t + 1 - window, 0), t + 1):
                if x[k] == x[k]:
                    total += x[k]
            peak = abs(total)
        out[t] = total / count if count >= _needed(window) else np.nan


@njit(cache=True, error_model="numpy")
def _moments(x, window, mean, deviation, skew):
    """Rolling mean, standard deviation (ddof 1) and, where `skew` has room for it, adjusted Fisher-Pearson skewness.

    x : of mean near zero.
    """
    s1 = s2 = s3 = peak = 0.0
    n = 0
    for t in range(x.size):
        if x[t] == x[t]:
            square = x[t] * x[t]
            s1 += x[t]
            s2 += square
            s3 += square * x[t]
            n += 1
        if t >= window and x[t - window] == x[t - window]:
            old = x[t - window]
            s1 -= old
            s2 -= old * old
            s3 -= old * old * old
            n -= 1
        peak = largest(peak, s2)  # bounds what the others were
        if spoilt(peak, s2):
            s1 = s2 = s3 = 0.0
            for k in range(max(t + 1 - window, 0), t + 1):
                if x[k] == x[k]:
                    square = x[k] * x[k]
                    s1 += x[k]
                    s2 += square
                    s3 += square * x[k]
            peak = s2
        mean[t] = deviation[t] = np.nan
        if n >= _needed(window):
            m = s1 / n
            mean[t] = m
            deviation[t] = np.sqrt(max(s2 - m * s1, 0.0) / (n - 1))
        if skew.size:
            skew[t] = np.nan
            variance = s2 / n - m * m if n >= _needed(window) else 0.0
            if variance > NOTHING:
                third = s3 / n - 3.0 * m * s2 / n + 2.0 * m * m * m
                skew[t] = third / (variance * np.sqrt(variance)) * np.sqrt(n * (n - 1.0)) / (n - 2.0)


@njit(cache=True, error_model="numpy")
def _trend_r2(y, window, out):
    """R² of the straight line through the window.

    Values are taken from a level, first 0. Where that is so far away that rounding would show, the sums are made anew
    from the level of the present one.
    """
    n = 0
    st = stt = sy = syy = sty = level = peak = 0.0
    for t in range(y.size):
        for at, sign in ((t, 1), (t - window, -1)):
            if at >= 0 and y[at] == y[at]:
                value = y[at] - level
                n += sign
                st += sign * at
                stt += sign * at * at
                sy += sign * value
                syy += sign * value * value
                sty += sign * at * value
        out[t] = np.nan
        peak = largest(peak, syy)
        square = syy - sy * sy / max(n, 1)
        if not peak <= AWAY * square and y[t] == y[t]:  # also where one is not finite
            level = y[t]
            sy = syy = sty = 0.0
            for k in range(max(t + 1 - window, 0), t + 1):
                if y[k] == y[k]:
                    sy += y[k] - level
                    syy += (y[k] - level) ** 2
                    sty += k * (y[k] - level)
            peak = syy
            square = syy - sy * sy / max(n, 1)
        if n >= _needed(window):
            spread, rise = stt - st * st / n, sty - st * sy / n
            if square > n * NOTHING * 100.0:
                out[t] = min(rise * rise / (spread * square), 1.0)


@njit(cache=True, error_model="numpy")
def _highest(x, window, queue, out):
    """Rolling maximum; `queue` is scratch of the size of x, of positions whose values fall."""
    head = tail = count = 0
    for t in range(x.size):
        if t >= window and x[t - window] == x[t - window]:
            count -= 1
        if x[t] == x[t]:
            count += 1
            while tail > head and x[queue[tail - 1]] <= x[t]:
                tail -= 1
            queue[tail] = t
            tail += 1
        while tail > head and queue[head] <= t - window:
            head += 1
        out[t] = x[queue[head]] if count >= _needed(window) else np.nan


@njit(cache=True, error_model="numpy")
def _beta(r, market, window, out):
    """Rolling slope of returns on the market's, over the sessions that have both."""
    n = 0
    sr = sm = srm = smm = peak_r = peak_rm = peak_mm = 0.0
    for t in range(r.size):
        for at, sign in ((t, 1), (t - window, -1)):
            if at >= 0 and r[at] == r[at] and market[at] == market[at]:
                n += sign
                sr += sign * r[at]
                sm += sign * market[at]
                srm += sign * r[at] * market[at]
                smm += sign * market[at] * market[at]
        peak_r, peak_rm, peak_mm = largest(peak_r, sr), largest(peak_rm, srm), largest(peak_mm, smm)
        if spoilt(peak_r, sr) or spoilt(peak_rm, srm) or spoilt(peak_mm, smm):
            sr = sm = srm = smm = 0.0
            for k in range(max(t + 1 - window, 0), t + 1):
                if r[k] == r[k] and market[k] == market[k]:
                    sr += r[k]
                    sm += market[k]
                    srm += r[k] * market[k]
                    smm += market[k] * market[k]
            peak_r, peak_rm, peak_mm = abs(sr), abs(srm), smm
        spread = smm - sm * sm / max(n, 1)
        out[t] = (srm - sr * sm / n) / spread if n >= _needed(window) and spread > n * NOTHING else np.nan


@njit(cache=True, error_model="numpy")
def _correlation_3(x, y, t):
    """Pearson correlation of three values; missing where either is constant."""
    mx, my = (x[t] + x[t - 1] + x[t - 2]) / 3.0, (y[t] + y[t - 1] + y[t - 2]) / 3.0
    xx = yy = xy = 0.0
    for k in range(t - 2, t + 1):
        xx += (x[k] - mx) ** 2
        yy += (y[k] - my) ** 2
        xy += (x[k] - mx) * (y[k] - my)
    if not (xx > 1e-20 * mx * mx and yy > 1e-20 * my * my):
        return np.nan
    return max(-1.0, min(1.0, xy / np.sqrt(xx * yy)))


@njit(cache=True, error_model="numpy")
def _change(x, t, newer, older):
    """Relative change of x from `older` to `newer` sessions before t."""
    return x[t - newer] / x[t - older] - 1.0 if t >= older else np.nan


@njit(cache=True, error_model="numpy")
def _above(value, least):
    """The value where it is more than `least`, else missing."""
    return value if value > least else np.nan


@njit(cache=True, error_model="numpy")
def _series(p, high, low, traded, series):
    """Fill the rows of `series`: return, gain, loss, log price, turnover, impact, true range."""
    base = np.nan
    for t in range(p.size):
        before = p[t - 1] if t else np.nan
        if base != base:
            base = p[t]
        change = p[t] - before
        series[0, t] = change / before
        series[1, t] = max(change, 0.0) if change == change else np.nan
        series[2, t] = max(-change, 0.0) if change == change else np.nan
        series[3, t] = np.log(p[t] / base)
        series[4, t] = traded[t]
        series[5, t] = abs(change / before) / _above(series[4, t], 0.0)
        known = high[t] == high[t] and low[t] == low[t] and before == before
        widest = max(high[t] - low[t], abs(high[t] - before), abs(low[t] - before))
        series[6, t] = widest if known else np.nan


@njit(cache=True, error_model="numpy")
def _factors_of(p, v, rolled, annual, f):
    """Fill `f` (23, n_sessions) from the rolling figures of one symbol; annual : √sessions a year."""
    for t in range(p.size):
        if p[t] != p[t]:
            f[:, t] = np.nan
            continue
        f[0, t] = _correlation_3(p, v, t) if t >= 2 else np.nan  # volume_price_corr_3d
        f[1, t] = 100.0 * max(rolled[8, t], 0.0) / _above(rolled[8, t] + rolled[9, t], 1e-9 * p[t])  # rsi_14
        f[2, t] = -_change(p, t, 0, 3)  # reversal_3d
        f[3, t] = -_change(p, t, 0, 5)  # reversal_5d
        f[4, t] = _change(p, t, 0, 10)  # momentum_10d
        f[5, t] = _change(p, t, 0, 10) * rolled[5, t] / _above(rolled[7, t], 1e-6)  # liquid_momentum_10d
        f[6, t] = rolled[0, t] / _above(rolled[1, t], np.sqrt(NOTHING))  # sharpe_momentum_5d
        f[7, t] = p[t] / rolled[10, t] - 1.0  # price_ma20_deviation
        f[8, t] = np.log(_above(rolled[11, t], 1.0))  # dollar_vol_20
        f[9, t] = rolled[12, t]  # trend_r2_20
        f[10, t] = rolled[3, t]  # ret_skew_20d
        f[11, t] = p[t] / rolled[13, t]  # near_52w_high
        f[12, t] = rolled[14, t] / p[t]  # atr_pct_14
        f[13, t] = 1e6 * rolled[15, t]  # amihud_20
        f[14, t] = _change(p, t, 5, 21)  # momentum_21
        f[15, t] = _change(p, t, 5, 63)  # momentum_63
        f[16, t] = _change(p, t, 5, 126)  # momentum_126
        f[17, t] = _change(p, t, 5, 252)  # momentum_252
        f[18, t] = rolled[2, t] * annual  # volatility_20
        f[19, t] = rolled[4, t] * annual  # volatility_60
        f[20, t] = v[t] / _above(rolled[6, t], 1e-6)  # volume_ratio_20
        f[21, t] = v[t] / _above(rolled[7, t], 1e-6)  # volume_ratio_60
        f[22, t] = rolled[16, t]  # market_beta_60


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(close, high, low, volume, turnover, market, annual, out):
    """Factors of each symbol, one after the other."""
    sessions = close.shape[1]
    series, rolled = np.empty((7, sessions)), np.empty((17, sessions))
    unused, queue = np.empty(sessions), np.empty(sessions, np.int64)
    for s in range(close.shape[0]):
        p, v = close[s], volume[s]
        _series(p, high[s], low[s], turnover[s], series)
        returns = series[0]
        _moments(returns, 5, rolled[0], rolled[1], unused[:0])
        _moments(returns, 20, unused, rolled[2], rolled[3])
        _moments(returns, 60, unused, rolled[4], unused[:0])
        _mean(v, 10, rolled[5])
        _mean(v, 20, rolled[6])
        _mean(v, 60, rolled[7])
        _mean(series[1], 14, rolled[8])
        _mean(series[2], 14, rolled[9])
        _mean(p, 20, rolled[10])
        _mean(series[4], 20, rolled[11])
        _trend_r2(series[3], 20, rolled[12])
        _highest(p, 252, queue, rolled[13])
        _mean(series[6], 14, rolled[14])
        _mean(series[5], 20, rolled[15])
        _beta(returns, market, 60, rolled[16])
        _factors_of(p, v, rolled, annual, out[:, s])


def alpha_factors(
    close: Array,
    high: Array,
    low: Array,
    volume: Array,
    turnover: Array,
    market: Array,
    *,
    periods_per_year: int,
    threads: int = 1,
) -> NDArray[np.float32]:
    """All factors, float32 of shape (23, n_symbols, n_sessions), in the order of `_factors_of`; NaN where missing.

    close, high, low : float64 (n_symbols, n_sessions), continuous through splits, NaN where there is no bar or no such
    value. volume : continuous through splits. turnover : money that changed hands. market : float64 (n_sessions,),
    returns of the market. periods_per_year : sessions, by which volatilities are annualised. threads : symbols are
    shared out among so many.
    """
    out, annual = np.empty((23, *close.shape), np.float32), np.sqrt(float(periods_per_year))
    parts = [slice(rows[0], rows[-1] + 1) for rows in np.array_split(np.arange(len(close)), threads) if len(rows)]
    with ThreadPoolExecutor(threads) as pool:
        done = pool.map(
            lambda p: _fill(close[p], high[p], low[p], volume[p], turnover[p], market, annual, out[:, p]), parts
        )
        list(done)  # raises what a thread raised
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def decayed(values, keep):
    """Mean of each row's observations up to a session, weighted by recency; float32 of the shape of `values`.

    values : float32 (n_symbols, n_sessions), NaN where missing; missing there, a mean of earlier ones is missing too.
    keep : float64 (n_sessions,), share of their weight that earlier observations keep from one session to the next.
    """
    out = np.empty_like(values)
    for s in range(values.shape[0]):
        total = weight = 0.0
        for t in range(values.shape[1]):
            total *= keep[t]
            weight *= keep[t]
            if values[s, t] == values[s, t]:
                total += values[s, t]
                weight += 1.0
                out[s, t] = total / weight
            else:
                out[s, t] = np.nan
    return out
