"""Two rules that choose among the same opportunities, and what the books of both are worth day by day.

Null where both are equally skilled: they differ by luck alone, and hold many of the same trades.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
VOLATILITY = 0.02  # of a trade's value a session, in units of what it risks
COMMON, OF_A_SYMBOL = 0.2, 0.3  # shares of a trade's variance that all trades, and those of a symbol, have in common


class Law(NamedTuple):
    """How opportunities come, are chosen and end."""

    symbols: int = 12  # one opportunity each, every session
    chosen: int = 2  # by each rule, of a session
    shortest: int = 20  # sessions held
    longest: int = 30
    edge: float = 0.02  # mean outcome of an opportunity one standard deviation better, in units of its risk
    first: float = 0.6  # correlation of a rule's score with how good an opportunity is
    second: float = 0.6
    positions: int = 40  # whose risk is the capital


class Books(NamedTuple):
    """Results of both rules, shape (n_sessions,), over fixed capital, and how much of what they hold is the same."""

    first: Array
    second: Array
    overlap: float  # share of the first's trades that are the second's too


def books(law: Law, *, sessions: int, seed: int) -> Books:
    """Daily mark-to-market results of two books.

    Values move with skew and fat tails, in spells of calm and turmoil, together in part. A trade is marked from the
    session after its decision until it ends.
    """
    rng = np.random.default_rng(seed)
    good = rng.standard_normal((sessions, law.symbols))
    taken = [_chosen(good, skill, law.chosen, rng) for skill in (law.first, law.second)]
    day, symbol = np.nonzero(taken[0] | taken[1])
    held = rng.integers(law.shortest, law.longest + 1, len(day))
    volatility = _spells(sessions + law.longest, rng)
    begins = np.repeat(day + 1, held)
    at = begins + np.arange(held.sum()) - np.repeat(held.cumsum() - held, held)
    moves = _moves(at, np.repeat(symbol, held), volatility, law, rng)
    moves += np.repeat(law.edge * good[day, symbol] / held, held)
    results = []
    for one in taken:
        mine = np.repeat(one[day, symbol], held)
        results.append(np.bincount(at[mine], moves[mine], minlength=sessions)[:sessions] / law.positions)
    return Books(results[0], results[1], float((taken[0] & taken[1]).sum() / taken[0].sum()))


def _chosen(good: Array, skill: float, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The best of each session by a score that knows as much of how good they are."""
    score = skill * good + np.sqrt(1.0 - skill**2) * rng.standard_normal(good.shape)
    least = np.partition(score, -count, axis=1)[:, -count]
    return score >= least[:, None]


def _spells(sessions: int, rng: np.random.Generator) -> Array:
    """Volatility of each session over its mean: a log-normal autoregression of half-life 23 sessions."""
    shocks, logs = 0.1 * rng.standard_normal(sessions), np.zeros(sessions)
    for t in range(1, sessions):
        logs[t] = 0.97 * logs[t - 1] + shocks[t]
    return np.exp(logs - logs.mean())


def _moves(at: NDArray, symbol: NDArray, volatility: Array, law: Law, rng: np.random.Generator) -> Array:
    """Changes of value: what all share, what a symbol's share, and each one's own, which has a long upper tail."""
    sessions = len(volatility)
    common = rng.standard_t(5, sessions) / np.sqrt(5 / 3)
    of_symbol = rng.standard_t(5, (sessions, law.symbols)) / np.sqrt(5 / 3)
    own = (rng.standard_gamma(2.0, len(at)) - 2.0) / np.sqrt(2.0)
    whole = np.sqrt(COMMON) * common[at] + np.sqrt(OF_A_SYMBOL) * of_symbol[at, symbol]
    return VOLATILITY * volatility[at] * (whole + np.sqrt(1.0 - COMMON - OF_A_SYMBOL) * own)
