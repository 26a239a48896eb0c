"""ARIMA(p, 1, q) without a constant by conditional sum of squares, inside the stationary and invertible region.

The differences w follow w_t = Σ phi_i w_{t−i} + e_t + Σ theta_j e_{t−j}; what lies before the window is zero.
Coefficients come from partial autocorrelations u, |u| <= MAX_PARTIAL, by the Durbin–Levinson recursion, which maps that
box one to one into the region (Barndorff-Nielsen and Schou, 1973, doi:10.1016/0047-259X(73)90030-4). Each fit starts
from the window's own Hannan–Rissanen estimate: the surface has many optima, and this start mostly leads to the one that
statsmodels' exact likelihood finds.
"""

import numpy as np
from numba import float64, int64, njit
from numba.core.types import Array

from bq.kernels.linear import solve

MAX_PARTIAL = 0.999
MAX_STEPS = 60
TOLERANCE = 1e-7  # of the sum of squares: what a further step may still promise at convergence
Z95 = 1.959963984540054


@njit(cache=True)
def _levinson(u, out):
    """Partial autocorrelations to the coefficients of an autoregression."""
    for k in range(u.size):
        out[k] = u[k]
        for j in range((k + 1) // 2):
            left, right = out[j], out[k - 1 - j]
            out[j] = left - u[k] * right
            out[k - 1 - j] = right - u[k] * left


@njit(cache=True)
def _partials(coefficients, sign, out):
    """Autoregressive coefficients, times `sign`, to partial autocorrelations; zeros where they are not stationary."""
    rest = np.empty(coefficients.size)
    for k in range(rest.size):
        rest[k] = sign * coefficients[k]
    for k in range(rest.size - 1, -1, -1):
        last = rest[k]
        if not abs(last) < MAX_PARTIAL:
            out[:] = 0.0
            return
        out[k] = last
        for j in range((k + 1) // 2):
            left, right = rest[j], rest[k - 1 - j]
            rest[j] = (left + last * right) / (1.0 - last * last)
            rest[k - 1 - j] = (right + last * left) / (1.0 - last * last)


@njit(cache=True)
def _least_squares(target, regressors, first, out):
    """Regress target[first:] on the rows of `regressors`; zeros where they are collinear."""
    k = regressors.shape[0]
    normal = np.zeros((k, k))
    out[:] = 0.0
    for t in range(first, target.size):
        for i in range(k):
            out[i] += regressors[i, t] * target[t]
            for j in range(k):
                normal[i, j] += regressors[i, t] * regressors[j, t]
    if not solve(normal, out, k):
        out[:] = 0.0


@njit(cache=True)
def _lags(series, count, out):
    """Rows 0 … count−1 of `out`: the series 1 … count steps back, zeros before it begins."""
    for i in range(count):
        for t in range(series.size):
            out[i, t] = series[t - 1 - i] if t > i else 0.0


@njit(cache=True)
def _hannan_rissanen(w, p, q, u):
    """Fill u from two regressions: on 2q lags for the innovations, then on lags of w and of the innovations.

    Hannan and Rissanen (1982), doi:10.1093/biomet/69.1.81, as statsmodels starts its likelihood.
    """
    long = 2 * q
    regressors = np.empty((max(long, p + q), w.size))
    coefficients = np.empty(max(long, p + q))
    _lags(w, long, regressors)
    _least_squares(w, regressors[:long], long, coefficients[:long])
    innovations = np.zeros(w.size)
    for t in range(long, w.size):
        innovations[t] = w[t]
        for i in range(long):
            innovations[t] -= coefficients[i] * regressors[i, t]
    _lags(w, p, regressors)
    _lags(innovations, q, regressors[p:])
    _least_squares(w, regressors[: p + q], max(long + q, p), coefficients[: p + q])
    _partials(coefficients[:p], 1.0, u[:p])
    _partials(coefficients[p : p + q], -1.0, u[p:])


@njit(cache=True)
def _unpack(u, p, c, jacobian):
    """Fill c = (phi, theta) and its derivative by u: a coefficient is linear in each single partial autocorrelation."""
    ends, varied = np.empty(u.size), u.copy()
    jacobian[:] = 0.0
    for low, high, sign in ((0, p, 1.0), (p, u.size, -1.0)):
        for i in range(low, high):
            varied[i] = 1.0
            _levinson(varied[low:high], ends[low:high])
            varied[i] = 0.0
            _levinson(varied[low:high], c[low:high])
            varied[i] = u[i]
            for j in range(low, high):
                jacobian[j, i] = sign * (ends[j] - c[j])
        _levinson(u[low:high], c[low:high])
        for j in range(low, high):
            c[j] *= sign


@njit(cache=True)
def _residuals(w, c, p, e, filtered, slopes):
    """Fill the residuals e and `slopes` (k, n), minus their derivatives by c; return the sum of squares of e.

    filtered (2, n) holds w and e divided by theta(B): the slope by phi_i is the first, i steps back, by theta_j the
    second, j steps back.
    """
    q = c.size - p
    total = 0.0
    for t in range(w.size):
        x = filtered_w = w[t]
        for i in range(min(p, t)):
            x -= c[i] * w[t - 1 - i]
        for j in range(min(q, t)):
            x -= c[p + j] * e[t - 1 - j]
            filtered_w -= c[p + j] * filtered[0, t - 1 - j]
        filtered_e = x
        for j in range(min(q, t)):
            filtered_e -= c[p + j] * filtered[1, t - 1 - j]
        e[t], filtered[0, t], filtered[1, t] = x, filtered_w, filtered_e
        total += x * x
    _lags(filtered[0], p, slopes)
    _lags(filtered[1], q, slopes[p:])
    return total


@njit(cache=True)
def _evaluate(w, u, p, c, e, filtered, slopes, gradient, normal):
    """Sum of squared residuals at u; fills c, e and the normal equations in u."""
    k = u.size
    jacobian, by_c = np.empty((k, k)), np.zeros((k, k))
    _unpack(u, p, c, jacobian)
    total = _residuals(w, c, p, e, filtered, slopes)
    inner = np.zeros(k)
    for t in range(w.size):
        for i in range(k):
            inner[i] -= slopes[i, t] * e[t]
            for j in range(i + 1):
                by_c[i, j] += slopes[i, t] * slopes[j, t]
    for i in range(k):
        for j in range(i):
            by_c[j, i] = by_c[i, j]
    for i in range(k):
        gradient[i] = 0.0
        for a in range(k):
            gradient[i] += jacobian[a, i] * inner[a]
        for j in range(k):
            normal[i, j] = 0.0
            for a in range(k):
                for b in range(k):
                    normal[i, j] += jacobian[a, i] * by_c[a, b] * jacobian[b, j]
    return total


@njit(cache=True)
def _bounded_step(u, gradient, normal, damping, step):
    """Levenberg–Marquardt step that stays in the box; returns the decrease it promises, 0 where there is none."""
    k = u.size
    damped = np.empty((k, k))
    for i in range(k):
        held = abs(u[i]) >= MAX_PARTIAL and gradient[i] * u[i] < 0.0
        for j in range(k):
            damped[i, j] = 0.0 if held else normal[i, j]
        damped[i, i] = 1.0 if held else normal[i, i] * (1.0 + damping)
        step[i] = 0.0 if held else -gradient[i]
    if not solve(damped, step, k):
        return 0.0
    expected = 0.0
    for i in range(k):
        step[i] = min(max(u[i] + step[i], -MAX_PARTIAL), MAX_PARTIAL) - u[i]
    for i in range(k):
        expected -= 2.0 * gradient[i] * step[i]
        for j in range(k):
            expected -= step[i] * normal[i, j] * step[j]
    return expected


@njit(cache=True)
def _descend(w, u, p, c, e):
    """Minimise the sum of squares from u, in place; fills coefficients c and residuals e, returns the sum."""
    k = u.size
    gradient, trial_gradient, step, trial_c = np.empty(k), np.empty(k), np.empty(k), np.empty(k)
    normal, trial_normal = np.empty((k, k)), np.empty((k, k))
    trial_e, filtered, slopes = np.empty(w.size), np.empty((2, w.size)), np.empty((k, w.size))
    total = _evaluate(w, u, p, c, e, filtered, slopes, gradient, normal)
    damping = 1e-2
    for _ in range(MAX_STEPS):
        expected = _bounded_step(u, gradient, normal, damping, step)
        if expected < TOLERANCE * total and damping < 1.0:
            break
        trial = u + step
        trial_total = _evaluate(w, trial, p, trial_c, trial_e, filtered, slopes, trial_gradient, trial_normal)
        if total - trial_total > 1e-4 * abs(expected):
            ratio = (total - trial_total) / abs(expected)
            for i in range(k):
                u[i], c[i], gradient[i] = trial[i], trial_c[i], trial_gradient[i]
                for j in range(k):
                    normal[i, j] = trial_normal[i, j]
            for t in range(w.size):
                e[t] = trial_e[t]
            total = trial_total
            damping *= 0.1 if ratio > 0.5 else 1.0 if ratio > 0.25 else 4.0
        else:
            damping *= 10.0
    return total


@njit(cache=True)
def _forecast(w, e, c, p, steps):
    """Mean over the steps of the forecast change since the last price, and of its deviation in units of e's."""
    q = c.size - p
    n = w.size
    ahead = np.zeros(n + steps)
    ahead[:n] = w
    psi = np.zeros(steps)
    change = mean_change = total_psi = variance = mean_deviation = 0.0
    for s in range(steps):
        for i in range(p):
            ahead[n + s] += c[i] * ahead[n + s - 1 - i]
        for j in range(s, q):
            ahead[n + s] += c[p + j] * e[n + s - 1 - j]
        change += ahead[n + s]
        mean_change += change / steps
        psi[s] = 1.0 if s == 0 else c[p + s - 1] if s <= q else 0.0
        for i in range(min(p, s)):
            psi[s] += c[i] * psi[s - 1 - i]
        total_psi += psi[s]
        variance += total_psi**2
        mean_deviation += np.sqrt(variance) / steps
    return mean_change, mean_deviation


@njit(cache=True)
def _scaled_differences(prices, w):
    """Fill w with the differences in units of their standard deviation, which is returned; 0 where there is none."""
    n = w.size
    mean = (prices[n] - prices[0]) / n
    squares = largest = 0.0
    for t in range(n):
        w[t] = prices[t + 1] - prices[t]
        squares += (w[t] - mean) ** 2
        largest = max(largest, abs(prices[t]))
    scale = np.sqrt(squares / n)
    if not (np.isfinite(scale) and scale > 1e-12 * largest):
        return 0.0
    for t in range(n):
        w[t] /= scale
    return scale


@njit(cache=True)
def _information(e, burn, parameters):
    """AIC of the residuals after the first `burn`."""
    total = 0.0
    for t in range(burn, e.size):
        total += e[t] * e[t]
    return (e.size - burn) * np.log(total / (e.size - burn)) + 2.0 * parameters


# one compilation for contiguous matrices and for sliding views
@njit(float64[:, ::1](Array(float64, 2, "A", readonly=True), int64[:, ::1], int64), cache=True)
def forecast_windows(prices, orders, steps):
    """Fit every order (k, 2) of (p, q) to each row of `prices` (m, n), forecast with the one of lowest AIC.

    AIC compares the residuals after the first max(p) differences, the same for every order.
    Returns (m, 3): mean price of the `steps` forecasts, mean width of their 95% intervals in % of it, index of the
    order. A row that is a straight line, holds a non-finite value or forecasts no positive price is NaN.
    """
    result = np.full((prices.shape[0], 3), np.nan)
    w, e = np.empty(prices.shape[1] - 1), np.empty(prices.shape[1] - 1)
    burn = 0
    for index in range(orders.shape[0]):
        burn = max(burn, orders[index, 0])
    for row in range(prices.shape[0]):
        scale = _scaled_differences(prices[row], w)
        lowest = np.inf
        for index in range(orders.shape[0] if scale > 0.0 else 0):
            p, q = orders[index]
            u, c = np.empty(p + q), np.empty(p + q)
            _hannan_rissanen(w, p, q, u)
            total = _descend(w, u, p, c, e)
            aic = _information(e, burn, p + q + 1)
            if aic < lowest:
                lowest = aic
                change, deviation = _forecast(w, e, c, p, steps)
                price = prices[row, -1] + scale * change
                width = 2.0 * Z95 * scale * np.sqrt(total / w.size) * deviation
                result[row, :] = (price, 100.0 * width / price, index) if price > 0.0 else (np.nan, np.nan, np.nan)
    return result
