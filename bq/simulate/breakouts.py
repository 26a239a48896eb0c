"""A market of whole bars in which some breakouts go on, and a day's volume says which.

A close more than half a percent above the 20 before it is a breakout. It opens a spell of twenty sessions, good with
even odds: in a good one the price drifts upwards, and every breakout has three times the usual volume. Without an edge
nothing drifts, and prices are martingales whose volume says nothing about what follows.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.simulate.moves import Array, extremes, shocks
from bq.stats.year import TRADING_DAYS

FIELDS = ("open", "high", "low", "close", "volume")
WINDOW, CLEARANCE = 20, 0.005  # what a breakout is
SPELL_SESSIONS = 20
GOOD, SPIKE = 0.5, 3.0  # share of spells, times the usual volume
OVERNIGHT = 0.25  # share of a day's variance before the open


class Breakouts(NamedTuple):
    """Column 0 is the index, never planted, the others are names; arrays of shape (n_sessions, 1 + n_symbols)."""

    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    heralded: NDArray[np.bool_]  # the truth: a breakout in a good spell
    drift: Array  # the truth: expected log return of the day beyond the martingale's, known the evening before


def breakout_market(*, sessions: int, symbols: int, edge: float, seed: int, alive: Array | float = 1.0) -> Breakouts:
    """Simulate bars.

    edge : drift of each session of a good spell, in standard deviations of the day. Daily moves are
    normal with a persistent log-volatility around 25% a year for names, 16% for the index, correlation about .3.
    alive : what is left of the edge in each session, shape (n_sessions,); below 0 it has turned.
    """
    rng = np.random.default_rng(seed)
    shape = (sessions, 1 + symbols)
    sigma = _volatility(rng, shape)
    close = np.zeros(shape)  # of the logarithm, from here on
    opens, drift = np.zeros(shape), np.zeros(shape)
    heralded = np.zeros(shape, bool)
    luck = rng.random(shape) < GOOD
    overnight, daytime = shocks(rng, shape), shocks(rng, shape)
    edges = edge * np.broadcast_to(alive, sessions)
    ends, good = np.zeros(shape[1]), np.zeros(shape[1], bool)  # of each symbol's latest spell
    for t in range(1, sessions):
        drift[t] = edges[t] * sigma[t] * (good & (t <= ends))
        fair = drift[t] - 0.5 * sigma[t] ** 2
        opens[t] = close[t - 1] + OVERNIGHT * fair + np.sqrt(OVERNIGHT) * sigma[t] * overnight[t]
        close[t] = opens[t] + (1.0 - OVERNIGHT) * fair + np.sqrt(1.0 - OVERNIGHT) * sigma[t] * daytime[t]
        if t >= WINDOW:
            breaks = close[t] >= close[t - WINDOW : t].max(axis=0) + np.log1p(CLEARANCE)
            breaks[0] = False
            opened = breaks & (t > ends)
            good, ends = np.where(opened, luck[t], good), np.where(opened, t + SPELL_SESSIONS, ends)
            heralded[t] = breaks & good
    high, low = extremes(rng, opens, close, (1.0 - OVERNIGHT) * sigma**2)
    volume = 3e6 * np.exp(0.2 * rng.standard_normal(shape)) * np.where(heralded, SPIKE, 1.0)
    prices = (100.0 * np.exp(part) for part in (opens, high, low, close))
    return Breakouts._make((*prices, np.round(volume), heralded, drift))


def _volatility(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Standard deviation of each day."""
    level = np.zeros(shape)
    innovation = 0.04 * rng.standard_normal(shape)
    for t in range(1, shape[0]):
        level[t] = 0.98 * level[t - 1] + innovation[t]
    yearly = np.append(0.16, np.full(shape[1] - 1, 0.25))
    return yearly / np.sqrt(TRADING_DAYS) * np.exp(level)
