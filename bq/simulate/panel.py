"""A cross-section of names with a planted signal of known strength in it, under a market that is calm or stormy.

Two persistent traits of a name drive its expected return: one shows in its turnover, the other in its daily range. Of
the signal's variance three fifths are linear in the first trait, a fifth lies in the product of both, and a fifth is
the second trait with the sign of the regime: it pays in a calm market and costs in a stormy one. With strength 0 the
traits are there and say nothing, and no name has an expected gain: prices are martingales.

With trends the calm market rises and the stormy one falls, and names go along by their beta: then the beta has an
expected return of its own, whatever the strength, whose sign is the regime's.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.simulate.moves import Array, Random, autoregression
from bq.stats.year import TRADING_DAYS

HORIZON = 10  # sessions of the oracle's forecast
MEMORY = 0.985  # of a trait from one session to the next
SPELL_SESSIONS = 250.0  # mean length of a regime
RANKED = (
    0.9  # of a correlation with standardised returns that is left between ranks: betas, unequal volatilities, tails
)
LINEAR, PRODUCT, REGIME = np.sqrt([0.6, 0.2, 0.2])  # weights of the three parts, their variances adding to 1
VOLATILITY = np.array([0.26, 0.12]) / np.sqrt(TRADING_DAYS)  # of the market: stormy, calm
TREND = np.array([-0.25, 0.12]) / TRADING_DAYS
DEGREES, LARGEST = 6.0, 15.0  # of the shocks of Student's t; in standard deviations: no price falls below 0


class PanelMarket(NamedTuple):
    """Arrays of shape (n_sessions, 1 + n_symbols), column 0 the index; `expected` and `calm` are the truth."""

    open: Array  # the close before: nothing happens overnight
    high: Array
    low: Array
    close: Array
    volume: Array
    expected: Array  # (n_sessions, n_symbols): the oracle's return of the next ten sessions, beyond the market's
    calm: NDArray[np.bool_]  # (n_sessions,): the regime


def panel_market(
    *, sessions: int, symbols: int, oracle_ic: float, seed: int, trends: bool = False, alive: Array | float = 1.0
) -> PanelMarket:
    """Simulate an index and `symbols` names.

    oracle_ic : about the mean rank correlation, session by session, of the oracle's forecast with the return of the
    next ten sessions; 0 gives a null market. Names move with the market (betas .6 to 1.4), their own volatility
    is 18 to 40% a year and clusters, shocks are Student-t with 6 degrees of freedom. trends : whether regimes have a
    direction. alive : what is left of the signal in each session, shape (n_sessions,); below 0 it has turned.
    """
    rng = np.random.default_rng(seed)
    shape = (sessions, symbols)
    calm = _regimes(rng, sessions)
    market = VOLATILITY[calm.astype(int)] * _shocks(rng, sessions) + trends * TREND[calm.astype(int)]
    first, second = (autoregression(rng, shape, MEMORY) for _ in range(2))
    own = rng.uniform(0.18, 0.40, symbols) / np.sqrt(TRADING_DAYS) * np.exp(0.25 * autoregression(rng, shape, 0.97))
    parts = np.stack([LINEAR * first, PRODUCT * first * second, REGIME * np.where(calm, 1.0, -1.0)[:, None] * second])
    signal = _strength(oracle_ic) * np.broadcast_to(alive, sessions)[:, None]
    drift = np.zeros(shape)
    drift[1:] = (signal * parts.sum(axis=0))[:-1]
    returns = rng.uniform(0.6, 1.4, symbols) * market[:, None] + own * (_shocks(rng, shape) + drift)
    # a name's simple returns have no expectation but the drift; the index is a level that nobody trades
    moves = np.column_stack([market, np.log1p(returns)])
    close = 100.0 * np.exp(np.cumsum(moves, axis=0))
    before = np.vstack([np.full((1, 1 + symbols), 100.0), close[:-1]])
    turnover = np.exp(17.0 + _with_index(first) + 0.1 * rng.standard_normal(close.shape))
    reach = np.exp(0.02 * np.exp(0.6 * _with_index(second)))
    return PanelMarket(
        open=before,
        high=np.maximum(before, close) * reach,
        low=np.minimum(before, close) / reach,
        close=close,
        volume=np.round(turnover / close),
        expected=own * signal * np.tensordot(_sums_ahead(), parts, axes=1),
        calm=calm,
    )


def _with_index(trait: Array) -> Array:
    """A column of zeros for the index before the names."""
    return np.column_stack([np.zeros(len(trait)), trait])


def _regimes(rng: Random, sessions: int) -> NDArray[np.bool_]:
    """A two-state Markov chain that begins calm."""
    switches = rng.random(sessions) < 1.0 / SPELL_SESSIONS
    return np.cumsum(switches) % 2 == 0


def _shocks(rng: Random, shape: int | tuple[int, int]) -> Array:
    """Student-t shocks of variance 1."""
    return np.clip(rng.standard_t(DEGREES, shape) * np.sqrt((DEGREES - 2.0) / DEGREES), -LARGEST, LARGEST)


def _sums_ahead() -> Array:
    """For each part, what its value today promises for the sum over the horizon: powers of its memory added up."""
    regime = 1.0 - 2.0 / SPELL_SESSIONS
    memory = np.array([MEMORY, MEMORY**2, MEMORY * regime])
    return (memory[:, None] ** np.arange(HORIZON)).sum(axis=1)


def _strength(oracle_ic: float) -> float:
    """Daily drift, in daily standard deviations, of one standard deviation of signal."""
    promised = np.sqrt((np.array([LINEAR, PRODUCT, REGIME]) ** 2 * _sums_ahead() ** 2).sum())
    return oracle_ic / RANKED * np.sqrt(HORIZON) / promised
