"""Black–Scholes–Merton values, Greeks and implied volatility of European options, element by element.

All functions broadcast their arguments. Early exercise is not modelled: an American option, as on single US stocks, is
worth at least what is computed here, and its implied volatility at most.
spot, strike, price : one currency. years : to expiry, ACT/365. vol, rate, dividend_yield : decimals a year, continuously
compounded. Source: Merton (1973), doi:10.2307/3003143.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bq.kernels.engines import Engine, check_engine

DAYS = 365
MAX_STANDARD_DEVIATION = 40.0


class Greeks(NamedTuple):
    """Arrays of the broadcast shape.

    price, delta, gamma (per unit of spot), vega (per vol point, 0.01), theta (per calendar day, a long option's is mostly
    negative), rho (per 1% of the rate, 0.01).
    """

    price: np.ndarray
    delta: np.ndarray
    gamma: np.ndarray
    vega: np.ndarray
    theta: np.ndarray
    rho: np.ndarray


def bsm_price(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    *,
    rate: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    is_call: ArrayLike,
    engine: Engine = "reference",
) -> np.ndarray:
    """Value of European options, of the arguments' broadcast shape.

    years <= 0 gives the intrinsic value, vol = 0 the discounted intrinsic value of the forward. NaN where an argument is
    NaN, spot or strike is not positive, or vol is negative.
    """
    return bsm_greeks(
        spot, strike, years, vol, rate=rate, dividend_yield=dividend_yield, is_call=is_call, engine=engine
    ).price


def bsm_greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    *,
    rate: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    is_call: ArrayLike,
    engine: Engine = "reference",
) -> Greeks:
    """Value and five Greeks of European options; NaN, expiry and zero volatility as in `bsm_price`."""
    check_engine(engine)
    arguments = (spot, strike, years, vol, rate, dividend_yield, is_call)
    return Greeks(*_reference_greeks(*np.broadcast_arrays(*map(np.asarray, arguments))))


def implied_volatility(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    *,
    rate: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    is_call: ArrayLike,
    engine: Engine = "reference",
) -> np.ndarray:
    """Volatility at which `bsm_price` gives `price`, of the arguments' broadcast shape.

    NaN (never 0) where there is none: expired, price outside the no-arbitrage bounds, or a time value lost in the rounding
    of the intrinsic value.
    """
    check_engine(engine)
    solve = np.vectorize(_reference_implied, otypes=[float])
    return solve(price, spot, strike, years, rate, dividend_yield, is_call)


def _reference_greeks(spot, strike, years, vol, rate, dividend_yield, is_call):
    """Greeks by numpy and scipy.special.ndtr."""
    from scipy.special import ndtr

    valid = (spot > 0) & (strike > 0) & (vol >= 0)
    spot, strike, vol = (np.where(valid, value, np.nan) for value in (spot, strike, vol))
    sign = np.where(is_call, 1.0, -1.0)
    time = np.where(years <= 0, 0.0, years)
    present_spot, present_strike = spot * np.exp(-dividend_yield * time), strike * np.exp(-rate * time)
    deviation = vol * np.sqrt(time)
    moneyness = np.log(present_spot / present_strike)
    with np.errstate(divide="ignore", invalid="ignore"):
        d1 = np.where(moneyness == 0, 0.0, moneyness / deviation) + deviation / 2
        density = np.exp(-(d1**2) / 2) / np.sqrt(2 * np.pi)
        gamma = np.where(deviation == 0, 0 * d1 * 0, density * present_spot / (spot**2 * deviation))
    gamma = np.where(deviation == 0, 0.0, gamma)
    p1, p2 = ndtr(sign * d1), ndtr(sign * (d1 - deviation))
    decay = np.where(deviation == 0, 0.0, present_spot * density * vol / (2 * np.sqrt(np.where(time > 0, time, 1.0))))
    theta = -decay + sign * (dividend_yield * present_spot * p1 - rate * present_strike * p2)
    return (
        sign * (present_spot * p1 - present_strike * p2),
        sign * present_spot / spot * p1,
        gamma,
        present_spot * density * np.sqrt(time) / 100,
        np.where(time > 0, theta, 0.0) / DAYS,
        sign * time * present_strike * p2 / 100,
    )


def _reference_implied(price, spot, strike, years, rate, dividend_yield, is_call) -> float:
    """Implied volatility by scipy.optimize.brentq on the log of the out-of-the-money value."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    if not (years > 0 and spot > 0 and strike > 0):
        return np.nan
    present_spot, present_strike = spot * np.exp(-dividend_yield * years), strike * np.exp(-rate * years)
    sign = 1.0 if is_call else -1.0
    intrinsic = max(0.0, sign * (present_spot - present_strike))
    value = price - intrinsic
    small, large = min(present_spot, present_strike), max(present_spot, present_strike)
    if not (value > (4 * np.finfo(float).eps * large if intrinsic > 0 else 0.0) and value < small):
        return np.nan
    moneyness = np.log(small / large)

    def distance(deviation: float) -> float:
        d1 = moneyness / deviation + deviation / 2
        time_value = small * ndtr(d1) - large * ndtr(d1 - deviation)
        return np.log(max(time_value, 1e-300)) - np.log(value)

    if distance(MAX_STANDARD_DEVIATION) < 0 or distance(1e-8) > 0:
        return np.nan
    return brentq(distance, 1e-8, MAX_STANDARD_DEVIATION, xtol=1e-14, rtol=1e-14) / np.sqrt(years)
