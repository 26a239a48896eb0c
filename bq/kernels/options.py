"""Black–Scholes–Merton as numpy ufuncs: value and Greeks, implied volatility. Arguments as in bq.analysis.options."""

import math

from numba import guvectorize, njit, vectorize

DAYS = 365
MAX_ITERATIONS = 60
NEARLY_THERE = 1e-6  # relative: the step is of third order, so the one after this would be below rounding
SMALLEST = 1e-300  # of the larger of present spot and strike: less has lost digits to underflow
ROUNDING = 4 * 2.0**-52  # error of a price from rounding, relative to its largest term
VOL_ERROR = 1e-8
ROOT_HALF = math.sqrt(0.5)
DENSITY_AT_ZERO = 1.0 / math.sqrt(2.0 * math.pi)


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
        density = inverse = 0.0
    else:
        inverse = 1.0 / deviation
        d1 = (math.log(spot / strike) + (rate - dividend_yield) * time) * inverse + 0.5 * deviation
        p1, p2 = _cdf(sign * d1), _cdf(sign * (d1 - deviation))
        density = DENSITY_AT_ZERO * math.exp(-0.5 * d1 * d1)
    received, paid, spread = sign * present_spot * p1, sign * present_strike * p2, present_spot * density
    price[0] = received - paid
    delta[0] = sign * growth * p1
    gamma[0] = growth * density * inverse / spot
    vega[0] = 0.01 * spread * root
    carry = dividend_yield * received - rate * paid
    theta[0] = (carry - 0.5 * spread * vol * vol * inverse) * (1.0 / DAYS) if time > 0.0 else 0.0 * time
    rho[0] = 0.01 * time * paid


@njit(cache=True)
def _time_value(moneyness, deviation):
    """Value of an out-of-the-money option in units of the larger of present spot and strike, and its slope.

    moneyness : log(smaller/larger) <= 0; call and put then have the same form. deviation : vol √years, the slope's
    variable.
    """
    d1 = moneyness / deviation + 0.5 * deviation
    smaller = math.exp(moneyness)
    value = smaller * _cdf(d1) - _cdf(d1 - deviation)
    return value, smaller * DENSITY_AT_ZERO * math.exp(-0.5 * d1 * d1)


@njit(cache=True)
def _halley(moneyness, deviation, target, wing):
    """Step of third order towards `target`, and whether the value lies below it; NaN where it underflows.

    In the wing (below the inflection) 1/log(value) is nearly a straight line in the squared deviation; above it the
    log-odds of the value within its bounds are nearly straight.
    """
    value, slope = _time_value(moneyness, deviation)
    curvature = slope * (moneyness**2 / deviation**3 - 0.25 * deviation)
    if wing:
        log, by = math.log(value), slope / value
        error = 1.0 / log - 1.0 / math.log(target)
        first = -by / log**2
        second = -(curvature / value - by**2) / log**2 + 2.0 * by**2 / log**3
    else:
        most = math.exp(moneyness)
        rest = most - value
        error = math.log(value / target) - math.log(rest / (most - target))
        first = slope / value + slope / rest
        second = curvature / value - (slope / value) ** 2 + curvature / rest + (slope / rest) ** 2
    newton = -error / first
    return newton / (1.0 + 0.5 * newton * second / first), value < target


@njit(cache=True)
def _deviation(moneyness, target):
    """Deviation at which the time value is `target`, by Halley steps inside a bracket; NaN where it is not found."""
    inflection = math.sqrt(-2.0 * moneyness)
    low, high = inflection, math.inf
    guess, wing = target / DENSITY_AT_ZERO, False
    if inflection > 0.0:
        value, slope = _time_value(moneyness, inflection)
        wing = target < value
        guess = inflection + (target - value) / slope
        if wing:
            low, high = 0.0, inflection
            guess = inflection * math.sqrt(math.log(value) / math.log(target))
    for _ in range(MAX_ITERATIONS):
        step, below = _halley(moneyness, guess, target, wing)
        if below:
            low = guess
        else:
            high = guess
        if abs(step) < NEARLY_THERE * guess:
            return guess + step
        guess += step
        if not low < guess < high:
            guess = 0.5 * (low + high) if high < math.inf else 2.0 * low
    return math.nan


@vectorize(["f8(f8, f8, f8, f8, f8, f8, b1)"], cache=True)
def implied(price, spot, strike, years, rate, dividend_yield, is_call):
    """Implied volatility of one option; NaN where no volatility, or none within VOL_ERROR, follows from the price."""
    if not (years > 0.0 and spot > 0.0 and strike > 0.0):
        return math.nan
    present_spot, present_strike = spot * math.exp(-dividend_yield * years), strike * math.exp(-rate * years)
    smaller, larger = min(present_spot, present_strike), max(present_spot, present_strike)
    in_the_money = (present_spot > present_strike) == is_call
    value = price - (larger - smaller) if in_the_money else price
    if not SMALLEST * larger < value < smaller:
        return math.nan
    moneyness = math.log(smaller / larger)
    deviation = _deviation(moneyness, value / larger)
    root = math.sqrt(years)
    _, slope = _time_value(moneyness, deviation)
    if not ROUNDING * (larger if in_the_money else value) < VOL_ERROR * slope * larger * root:
        return math.nan
    return deviation / root
