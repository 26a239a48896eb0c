"""Black–Scholes–Merton values, Greeks and implied volatility of European options, element by element.

All functions broadcast their arguments. Early exercise is not modelled: an American option, as on single US stocks, is
worth at least what is computed here, and its implied volatility is overstated.
spot, strike, price : one currency. years : to expiry, ACT/365. vol, rate, dividend_yield : decimals a year, the last
two continuously compounded. is_call : False for a put. Source: Merton (1973), doi:10.2307/3003143.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bq.analysis.engines import Engine, check_engine

DAYS = 365


class Greeks(NamedTuple):
    """Arrays of the broadcast shape.

    price; delta and gamma per unit of spot; vega per vol point (0.01); theta per calendar day, mostly negative for a
    long option; rho per 1% of the rate (0.01).
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
    engine: Engine = "compiled",
) -> np.ndarray:
    """Value of European options, of the arguments' broadcast shape.

    years <= 0 gives the intrinsic value, vol = 0 the discounted intrinsic value of the forward. NaN where an argument
    is NaN, spot or strike is not positive, or vol is negative.
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
    engine: Engine = "compiled",
) -> Greeks:
    """Value and five Greeks of European options; NaN, expiry and zero volatility as in `bsm_price`.

    At expiry and at zero volatility delta is that of the intrinsic value (one half at the money), gamma and vega are 0.
    """
    check_engine(engine)
    arguments = (spot, strike, years, vol, rate, dividend_yield, np.asarray(is_call, dtype=bool))
    with np.errstate(divide="ignore", invalid="ignore"):  # on the way to NaN
        if engine == "reference":
            return Greeks(*_reference_greeks(*np.broadcast_arrays(*map(np.asarray, arguments))))
        from bq.kernels.options import greeks

        return Greeks(*greeks(*arguments))


def implied_volatility(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    *,
    rate: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    is_call: ArrayLike,
    engine: Engine = "compiled",
) -> np.ndarray:
    """Volatility at which `bsm_price` gives `price`, of the arguments' broadcast shape.

    The out-of-the-money part of the price is solved, on a logarithmic scale: right to 1e-8 in the wings as well.
    NaN (never 0) where there is none: expired, a price on or outside the no-arbitrage bounds, or a time value so small
    beside the intrinsic value that the price's rounding alone moves the volatility by more than 1e-8.
    """
    check_engine(engine)
    arguments = (price, spot, strike, years, rate, dividend_yield, np.asarray(is_call, dtype=bool))
    with np.errstate(divide="ignore", invalid="ignore"):  # on the way to NaN
        if engine == "reference":
            return np.vectorize(_reference_implied, otypes=[float])(*arguments)
        from bq.kernels.options import implied

        return implied(*arguments)


def _reference_greeks(spot, strike, years, vol, rate, dividend_yield, is_call):
    """Greeks by numpy and scipy.special.ndtr."""
    from scipy.special import ndtr

    sign = np.where(is_call, 1.0, -1.0)
    time = np.where(years <= 0, 0.0, years)
    growth = np.exp(-dividend_yield * time)
    present_spot, present_strike = spot * growth, strike * np.exp(-rate * time)
    deviation = np.where((spot > 0) & (strike > 0) & (vol >= 0), vol, np.nan) * np.sqrt(time)
    moneyness = np.log(spot / strike) + (rate - dividend_yield) * time
    inverse = np.where(deviation == 0, 0.0, 1 / deviation)
    d1 = np.where(moneyness == 0, 0.0, moneyness / deviation) + deviation / 2
    density = np.where(deviation == 0, 0.0, np.exp(-(d1**2) / 2) / np.sqrt(2 * np.pi))
    received = sign * present_spot * ndtr(sign * d1)
    paid = sign * present_strike * ndtr(sign * (d1 - deviation))
    spread = present_spot * density
    theta = dividend_yield * received - rate * paid - spread * vol**2 * inverse / 2
    return (
        received - paid,
        received / spot,
        growth * density * inverse / spot,
        spread * np.sqrt(time) / 100,
        np.where(time == 0, 0.0 * received, theta / DAYS),
        time * paid / 100,
    )


def _reference_implied(price, spot, strike, years, rate, dividend_yield, is_call) -> float:
    """Implied volatility by scipy.optimize.brentq on the log of the out-of-the-money value."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    if not (years > 0 and spot > 0 and strike > 0):
        return np.nan
    present_spot, present_strike = spot * np.exp(-dividend_yield * years), strike * np.exp(-rate * years)
    small, large = min(present_spot, present_strike), max(present_spot, present_strike)
    in_the_money = (present_spot > present_strike) == is_call
    value = price - (large - small) if in_the_money else price
    if not 1e-300 * large < value < small:
        return np.nan
    moneyness = np.log(small / large)

    def distance(deviation: float) -> float:
        d1 = moneyness / deviation + deviation / 2
        time_value = small * ndtr(d1) - large * ndtr(d1 - deviation)
        return np.log(max(time_value, 1e-320)) - np.log(value)

    deviation = brentq(distance, 1e-12, 80, xtol=1e-16, rtol=1e-14)
    slope = small * np.exp(-((moneyness / deviation + deviation / 2) ** 2) / 2) / np.sqrt(2 * np.pi)
    uncertain = 4 * np.finfo(float).eps * (large if in_the_money else value) / (slope * np.sqrt(years))
    return deviation / np.sqrt(years) if uncertain < 1e-8 else np.nan
