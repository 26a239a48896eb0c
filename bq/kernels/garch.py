"""GARCH(1,1) by maximum likelihood: Fisher scoring with the analytic gradient, inside the constraints.

A window is centred and divided by its standard deviation, so that starting values and tolerances are free of units.
Parameters are theta = (mu, omega, alpha, beta). The recursion starts from the mean squared residual, a function of mu:
the convention of Fiorentini, Calzolari and Panattoni (1996).
"""

import numpy as np
from numba import float64, int64, njit
from numba.core.types import Array

from bq.kernels.linear import solve

MIN_OMEGA = 1e-8
MAX_PERSISTENCE = 1 - 1e-6
# (alpha, alpha + beta): one window in twelve of real returns has several optima
STARTS = np.array([[0.05, 0.98], [0.2, 0.5], [0.02, 0.995], [0.02, 0.5]])
MAX_STEPS = 200
SAME_BASIN = 1e-2  # squared distance to a known optimum, in log-likelihood × 2, from which a climb ends there too
TOLERANCE = 1e-8  # of the log-likelihood: what a further step may still promise at convergence

# constraint i holds where NORMALS[i] @ theta >= LIMITS[i]
NORMALS = np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, -1.0, -1.0]])
LIMITS = np.array([MIN_OMEGA, 0.0, 0.0, -MAX_PERSISTENCE])


@njit(cache=True)
def _evaluate(theta, r, gradient, information):
    """Negative log-likelihood (without its constant); fills its gradient and its expected information.

    The mean is orthogonal to the variance parameters in expectation, so their block is left at zero.
    """
    mu, omega, alpha, beta = theta
    backcast = 1.0 + mu * mu
    h = omega + (alpha + beta) * backcast
    d0, d1, d2, d3 = (alpha + beta) * 2.0 * mu, 1.0, backcast, backcast
    value = g0 = g1 = g2 = g3 = 0.0
    i00 = i11 = i12 = i13 = i22 = i23 = i33 = 0.0
    product = 1.0  # of h, so that one logarithm serves many days
    for x in r:
        e = x - mu
        inverse = 1.0 / h
        square = e * e
        value += square * inverse
        product *= h
        if product < 1e-200 or product > 1e200:
            value += np.log(product)
            product = 1.0
        score = 0.5 * inverse * (1.0 - square * inverse)
        g0 += score * d0 - e * inverse
        g1 += score * d1
        g2 += score * d2
        g3 += score * d3
        w = 0.5 * inverse * inverse
        w1, w2 = w * d1, w * d2
        i00 += w * d0 * d0 + inverse
        i11 += w1 * d1
        i12 += w1 * d2
        i13 += w1 * d3
        i22 += w2 * d2
        i23 += w2 * d3
        i33 += w * d3 * d3
        d0 = beta * d0 - 2.0 * alpha * e
        d1 = beta * d1 + 1.0
        d2 = beta * d2 + square
        d3 = beta * d3 + h
        h = omega + alpha * square + beta * h
    gradient[:] = (g0, g1, g2, g3)
    information[0, :] = (i00, 0.0, 0.0, 0.0)
    information[1, :] = (0.0, i11, i12, i13)
    information[2, :] = (0.0, i12, i22, i23)
    information[3, :] = (0.0, i13, i23, i33)
    return 0.5 * (value + np.log(product))


@njit(cache=True)
def _constrained_step(theta, gradient, hessian, step):
    """Minimise the quadratic model over the feasible set: the first set of active constraints that satisfies KKT."""
    kkt, right = np.empty((8, 8)), np.empty(8)
    for active in range(15):
        size = 4
        kkt[:] = 0.0
        for i in range(4):
            right[i] = -gradient[i]
            for j in range(4):
                kkt[i, j] = hessian[i, j]
        for c in range(4):
            if active >> c & 1:
                right[size] = LIMITS[c]
                for i in range(4):
                    kkt[size, i] = NORMALS[c, i]
                    kkt[i, size] = -NORMALS[c, i]
                    right[size] -= NORMALS[c, i] * theta[i]
                size += 1
        if not solve(kkt, right, size):
            continue
        good = True
        for i in range(4, size):
            good = good and right[i] >= 0.0
        for c in range(4):
            slack = -LIMITS[c]
            for i in range(4):
                slack += NORMALS[c, i] * (theta[i] + right[i])
            good = good and slack >= -1e-12
        if good:
            step[:] = right[:4]
            return True
    return False


@njit(cache=True)
def _length(vector, metric):
    """Squared length of a vector of parameters, `metric` being the information: in units of log-likelihood × 2."""
    total = 0.0
    for i in range(4):
        for j in range(4):
            total += vector[i] * metric[i, j] * vector[j]
    return total


@njit(cache=True)
def _promise(gradient, information, step):
    """Decrease of the negative log-likelihood that its quadratic model promises for a step."""
    decrease = -0.5 * _length(step, information)
    for i in range(4):
        decrease -= gradient[i] * step[i]
    return decrease


@njit(cache=True)
def _climb(z, theta, known):
    """Damped Fisher scoring from theta, in place. Returns its negative log-likelihood.

    Returns inf if it stalled, or came so close to `known`, an optimum of an earlier climb, that it would end there.
    """
    gradient, trial_gradient, step = np.empty(4), np.empty(4), np.empty(4)
    information, trial_information, damped = np.empty((4, 4)), np.empty((4, 4)), np.empty((4, 4))
    value = _evaluate(theta, z, gradient, information)
    damping = 1e-3
    for _ in range(MAX_STEPS):
        damped[:] = information
        for i in range(4):
            damped[i, i] *= 1.0 + damping
        ratio = -1.0
        if _constrained_step(theta, gradient, damped, step):
            expected = _promise(gradient, information, step)
            if expected < TOLERANCE and damping < 1.0:
                return value
            trial = theta + step
            for i in range(1, 4):
                trial[i] = max(trial[i], LIMITS[i - 1])
            trial_value = _evaluate(trial, z, trial_gradient, trial_information)
            ratio = (value - trial_value) / max(expected, 1e-300)
        if ratio > 1e-4:
            value = trial_value
            theta[:] = trial
            gradient[:] = trial_gradient
            information[:] = trial_information
            if _length(theta - known, information) < SAME_BASIN:
                return np.inf
            damping *= 0.1 if ratio > 0.5 else 1.0 if ratio > 0.25 else 4.0
        else:
            damping *= 10.0
    return np.inf


@njit(cache=True)
def _forecast(z, theta, horizon):
    """Mean variance of the `horizon` days after the window."""
    mu, omega, alpha, beta = theta
    h = omega + (alpha + beta) * (1.0 + mu * mu)
    for x in z:
        h = omega + alpha * (x - mu) ** 2 + beta * h
    total = 0.0
    for _ in range(horizon):
        total += h
        h = omega + (alpha + beta) * h
    return total / horizon


@njit(cache=True)
def _standardise(returns, z):
    """Fill z with the returns centred and scaled; return their mean and standard deviation, 0 where there is none."""
    n = z.size
    mean = squares = 0.0
    for t in range(n):
        mean += returns[t] / n
    for t in range(n):
        z[t] = returns[t] - mean
        squares += z[t] * z[t]
    scale = np.sqrt(squares / n)
    if not (np.isfinite(scale) and scale > 1e-12 * abs(mean)):
        return mean, 0.0
    for t in range(n):
        z[t] /= scale
    return mean, scale


# one compilation for contiguous matrices and for sliding views
@njit(float64[:, ::1](Array(float64, 2, "A", readonly=True), int64), cache=True)
def fit_windows(returns, horizon):
    """Fit each row of `returns` (m, n) on its own.

    Returns (m, 6): mu, omega, alpha, beta, log-likelihood, mean variance of the next `horizon` days, in the units of
    the returns. A row that is constant, holds a non-finite value or stalls from every start is NaN.
    """
    fits = np.full((returns.shape[0], 6), np.nan)
    z, theta, best = np.empty(returns.shape[1]), np.empty(4), np.empty(4)
    for row in range(returns.shape[0]):
        mean, scale = _standardise(returns[row], z)
        lowest = np.inf
        best[:] = np.nan
        for alpha, persistence in STARTS if scale > 0.0 else STARTS[:0]:
            theta[:] = (0.0, 1.0 - persistence, alpha, persistence - alpha)
            value = _climb(z, theta, best)
            if value < lowest:
                lowest = value
                best[:] = theta
        if lowest < np.inf:
            fits[row, 0] = mean + scale * best[0]
            fits[row, 1] = scale**2 * best[1]
            fits[row, 2:4] = best[2:]
            fits[row, 4] = -lowest - z.size * (0.5 * np.log(2.0 * np.pi) + np.log(scale))
            fits[row, 5] = scale**2 * _forecast(z, best, horizon)
    return fits
