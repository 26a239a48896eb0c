"""A market with volatility clustering, common shocks, and, planted in it, spells in which a price is pinned.

In a pinned spell the price is drawn back to where the spell began. Its daily moves are as large as ever, so volatility
forecasts and implied volatility do not see it, but over weeks it goes nowhere: butterflies around it earn their width.
The spells show in one place only: on some days of a spell the volume is several times the usual.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.stats.year import TRADING_DAYS

Array = NDArray[np.float64]

SPELL_SESSIONS = 80.0  # mean length
PULL = 0.30  # share of the distance to the anchor that is closed each session
SPIKE_SHARE, SPIKE = 0.35, 4.0  # of a spell's sessions, times the usual volume


class Pinned(NamedTuple):
    """Arrays of shape (n_sessions, n_symbols)."""

    close: Array
    volume: Array
    pinned: NDArray[np.bool_]  # the truth


def pinned_market(*, sessions: int, symbols: int, share: float, seed: int, alive: Array | float = 1.0) -> Pinned:
    """Simulate closes and volumes.

    share : expected share of sessions in a pinned spell; 0 gives a null market, a martingale whose volume says nothing.
    Daily returns are Student-t (6 degrees of freedom) with a persistent log-volatility around 20% a year and a common
    factor (correlation about .3).
    alive : what is left of volume's meaning in each session, shape (n_sessions,): at 1 the spikes are all in spells, at
    0 they are anywhere, at -1 all outside.
    """
    rng = np.random.default_rng(seed)
    shape = (sessions, symbols)
    shock = np.sqrt(0.3) * rng.standard_t(6, (sessions, 1)) + np.sqrt(0.7) * rng.standard_t(6, shape)
    shock *= np.sqrt(4.0 / 6.0)
    log_volatility = np.zeros(shape)
    innovation = 0.05 * rng.standard_normal(shape)
    for t in range(1, sessions):
        log_volatility[t] = 0.98 * log_volatility[t - 1] + innovation[t]
    sigma = 0.20 / np.sqrt(TRADING_DAYS) * np.exp(log_volatility)
    pinned = _spells(rng, shape, share)
    log_price = np.zeros(shape)
    anchor = np.zeros(symbols)
    quiet = np.sqrt(1.0 - PULL / 2.0)  # keeps the variance of a daily move what it is outside a spell
    for t in range(1, sessions):
        anchor = np.where(pinned[t] & ~pinned[t - 1], log_price[t - 1], anchor)
        free = log_price[t - 1] + sigma[t] * shock[t] - 0.5 * sigma[t] ** 2
        drawn = log_price[t - 1] - PULL * (log_price[t - 1] - anchor) + quiet * sigma[t] * shock[t]
        log_price[t] = np.where(pinned[t], drawn, free)
    told = np.broadcast_to(alive, sessions)[:, None]
    spike = rng.random(shape) < SPIKE_SHARE * (1.0 + np.where(pinned, told, -told)) / 2.0
    volume = 1e6 * np.exp(0.1 * rng.standard_normal(shape)) * np.where(spike, SPIKE, 1.0)
    return Pinned(100.0 * np.exp(log_price), np.round(volume), pinned)


def _spells(rng: np.random.Generator, shape: tuple[int, int], share: float) -> NDArray[np.bool_]:
    """A two-state Markov chain for each symbol with the given share of time in the pinned state."""
    leave = 1.0 / SPELL_SESSIONS
    enter = leave * share / (1.0 - share)
    draws = rng.random(shape)
    state = np.zeros(shape, bool)
    for t in range(1, shape[0]):
        state[t] = np.where(state[t - 1], draws[t] >= leave, draws[t] < enter)
    return state
