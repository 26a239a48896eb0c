"""Markets in which nothing predicts: martingales with option prices of the same law.

Constant: each name has one volatility, for ever, and its implied volatility is that number. Black–Scholes is then the
true price at a rate of `drift`: no position in shares or options, left whenever one likes, has an expected gain at mid.

Clustered: volatility is persistent, moves are Student-t, names are listed, halted and delisted. Implied volatility is
the one truly expected of the next 30 days. Prices remain martingales, but one volatility for all strikes is not their
law: narrow butterflies at the money are worth some 3% of their risk more than they cost at mid, wide ones 1% less. None
of it covers the way in and out (tests/simulate/test_fairness.py holds both).

Time is the calendar's, as in option prices: a weekend holds three days of variance, two of them before the open.
"""

from typing import NamedTuple

import numpy as np

from bq.simulate.moves import Array, Random, autoregression, mixing, walk

YEAR_DAYS = 365.0  # as option prices count
DAYTIME_DAYS = 0.75  # of variance between open and close; the rest of the time to the close before is overnight
INDEX, LEAST, MOST = 0.16, 0.15, 0.45  # volatilities a year: of the index, of the calmest and the wildest name
VOLUME_MEMORY = 0.97
MEMORY = 0.98  # of the logarithm of volatility, clustered
SPREAD, COMMON = 0.30, 0.5  # standard deviation of that logarithm; share of its variance that all names have in common
DEGREES = 5.0
AHEAD = 21  # sessions that implied volatility looks ahead: about 30 days
OF_THE_ROOT = 0.983  # mean of the root of their mean variance over the root of its mean, by simulation of the law below
LATE = EARLY = 0.25  # share of names that are listed late, delisted early
HALT_EVERY, HALT = 500, 5  # sessions between two halts, and of a halt, on average


class Martingale(NamedTuple):
    """Column 0 is the index; arrays of shape (n_sessions, 1 + n_symbols), NaN where a name has no bar."""

    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    iv: Array  # annualised decimal


def martingale_market(*, days: Array, symbols: int, drift: float, seed: int) -> Martingale:
    """Simulate an index and `symbols` names of constant volatility.

    days : calendar days from each session to the one before, shape (n_sessions,). drift : expected log gain of every
    price a year, continuous; the rate at which its options are fairly priced.
    """
    rng = np.random.default_rng(seed)
    volatility = np.broadcast_to(_levels(rng, symbols), (len(days), 1 + symbols))
    return _market(rng, days, volatility, volatility, drift=drift)


def clustered_market(*, days: Array, symbols: int, drift: float, seed: int) -> Martingale:
    """Simulate an index and `symbols` names with clustered volatility, fat tails, listings, halts and delistings.

    days, drift : as of `martingale_market`.
    """
    rng = np.random.default_rng(seed)
    base, shape = _levels(rng, symbols), (len(days), 1 + symbols)
    level = np.sqrt(COMMON) * autoregression(rng, (len(days), 1), MEMORY)
    level = SPREAD * (level + np.sqrt(1.0 - COMMON) * autoregression(rng, shape, MEMORY))
    now = base * np.exp(level - SPREAD**2)  # of mean square base²
    before = np.vstack([now[:1], now[:-1]])  # a session's volatility is known the evening before
    made = _market(
        rng, days, before * np.sqrt(mixing(rng, shape, degrees=DEGREES)), _expected(level, base), drift=drift
    )
    there = np.column_stack([np.ones(len(days), bool), *(_listed(rng, len(days)) for _ in range(symbols))])
    return Martingale._make(np.where(there, values, np.nan) for values in made)


def _levels(rng: Random, symbols: int) -> Array:
    """The usual volatility of each column."""
    return np.append(INDEX, rng.uniform(LEAST, MOST, symbols))


def _market(rng: Random, days: Array, volatility: Array, iv: Array, *, drift: float) -> Martingale:
    """Bars with these volatilities, and a volume that persists and says nothing."""
    spans = np.column_stack([days - DAYTIME_DAYS, np.full(len(days), DAYTIME_DAYS)]) / YEAR_DAYS
    overnight, daytime = (volatility**2 * spans[:, [part]] for part in range(2))
    path = walk(rng, overnight=overnight, daytime=daytime, drift=drift * days[:, None] / YEAR_DAYS)
    first = np.exp(rng.uniform(np.log(60.0), np.log(240.0), volatility.shape[1]))
    volume = 3e6 * np.exp(0.5 * autoregression(rng, volatility.shape, VOLUME_MEMORY))
    prices = [first * np.exp(part) for part in path]
    return Martingale._make((*prices, np.round(volume), np.array(iv)))


def _expected(level: Array, base: Array) -> Array:
    """Volatility expected of the next sessions, by the law of the autoregression; known at each close.

    The root of a variance, as at-the-money options are worth it: Hull & White 1987, doi:10.2307/2328253.
    """
    kept = MEMORY ** np.arange(AHEAD)
    parts = (np.exp(2.0 * share * level - 2.0 * (share * SPREAD) ** 2) for share in kept)
    return OF_THE_ROOT * base * np.sqrt(sum(parts, start=np.zeros_like(level)) / AHEAD)


def _listed(rng: Random, sessions: int) -> np.ndarray:
    """Whether a name has a bar: from its listing to its delisting, but for halts. None of it depends on prices."""
    first = int(rng.uniform(0.0, 0.4) * sessions) if rng.random() < LATE else 0
    last = int(rng.uniform(0.6, 1.0) * sessions) if rng.random() < EARLY else sessions
    there = np.zeros(sessions, bool)
    there[first:last] = True
    for start in np.flatnonzero(rng.random(sessions) < 1.0 / HALT_EVERY):
        there[start : start + rng.geometric(1.0 / HALT)] = False
    return there
