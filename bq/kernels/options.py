"""Black–Scholes–Merton as numpy ufuncs: value, Greeks, implied volatility. Arguments as in bq.analysis.options."""

import math

from numba import guvectorize, njit, vectorize

DAYS = 365
MAX_ITERATIONS = 60
EPSILON = 2.0**-52
ROOT_HALF = math.sqrt(0.5)
ROOT_TWO_PI = math.sqrt(2.0 * math.pi)


@njit(cache=True)
def _cdf(x):
    """Normal distribution function, accurate in both tails."""
    return 0.5 * math.erfc(-ROOT_HALF * x)


@guvectorize(
    ["void(f8, f8, f8, f8, f8, f8, b1, f8[:], f8[:], f8[:], f8[:], f8[:], f8[:])"],
    "(),(),(),(),(),(),()->(),(),(),(),(),()",
    cache=True,
)
def greeks(spot, strike, years, vol, rate, dividend_yield, is_call, price, delta, gamma, vega, theta, rho):
    """Value and Greeks of one option, in the units of bq.analysis.options.Greeks."""
    if not (spot > 0.0 and strike > 0.0 and vol >= 0.0):
        price[0] = delta[0] = gamma[0] = vega[0] = theta[0] = rho[0] = math.nan
        return
    sign = 1.0 if is_call else -1.0
    time = 0.0 if years <= 0.0 else years
    root = math.sqrt(time)
    growth = math.exp(-dividend_yield * time)
    present_spot, present_strike = spot * growth, strike * math.exp(-rate * time)
    deviation = vol * root
    if deviation == 0.0:
        ahead = sign * (present_spot - present_strike)
        p1 = p2 = 1.0 if ahead > 0.0 else 0.5 if ahead == 0.0 else 0.0
        density = 0.0
        gamma[0] = 0.0
    else:
        d1 = math.log(present_spot / present_strike) / deviation + 0.5 * deviation
        p1, p2 = _cdf(sign * d1), _cdf(sign * (d1 - deviation))
        density = math.exp(-0.5 * d1 * d1) / ROOT_TWO_PI
        gamma[0] = growth * density / (spot * deviation)
    price[0] = sign * (present_spot * p1 - present_strike * p2)
    delta[0] = sign * growth * p1
    vega[0] = 0.01 * present_spot * density * root
    carry = sign * (dividend_yield * present_spot * p1 - rate * present_strike * p2)
    decay = 0.0 if time == 0.0 else 0.5 * present_spot * density * vol / root - carry
    theta[0] = -decay / DAYS
    rho[0] = 0.01 * sign * time * present_strike * p2


@njit(cache=True)
def _time_value(moneyness, deviation):
    """Value of an out-of-the-money option over the larger of present spot and strike, and its slope by the deviation.

    moneyness = log(smaller/larger) <= 0: the out-of-the-money call and put have the same form.
    """
    d1 = moneyness / deviation + 0.5 * deviation
    small = math.exp(moneyness)
    value = small * _cdf(d1) - _cdf(d1 - deviation)
    return value, small * math.exp(-0.5 * d1 * d1) / ROOT_TWO_PI


@vectorize(["f8(f8, f8, f8, f8, f8, f8, b1)"], cache=True)
def implied(price, spot, strike, years, rate, dividend_yield, is_call):
    return math.nan
