"""A market of many correlated names under one volatility index that visits calm, usual and stormy times.

For training on more names and days than there are quotes for. Prices carry no signal about their direction; implied
volatility is the true one with a persistent error, so that what looks dear tends to be dear.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.stats.year import TRADING_DAYS

Array = NDArray[np.float64]

TYPICAL_VIX = 19.0
REVERSION, VIX_OF_VIX, LEVERAGE = 0.03, 0.055, -0.7  # a day, of the logarithm; correlation with the index return
PREMIUM = 1.15  # of implied over true volatility
ERROR, ERROR_MEMORY = 0.12, 0.97  # standard deviation and daily persistence of a name's implied-volatility error


class Strata(NamedTuple):
    """Column 0 is the index, the others are names; arrays of shape (n_sessions, 1 + n_symbols)."""

    close: Array
    iv: Array  # annualised decimal; of the index: the volatility index / 100


def strata_market(*, sessions: int, symbols: int, seed: int) -> Strata:
    """Simulate an index and `symbols` names.

    A name's volatility is 1.2 to 2.2 times the index's, its correlation with the index .3 to .6. Shocks are Student-t
    with 6 degrees of freedom.
    """
    rng = np.random.default_rng(seed)
    common = rng.standard_t(6, sessions) * np.sqrt(4.0 / 6.0)
    level = np.full(sessions, np.log(TYPICAL_VIX))
    own = rng.standard_normal(sessions)
    for t in range(1, sessions):
        shock = LEVERAGE * common[t] + np.sqrt(1.0 - LEVERAGE**2) * own[t]
        level[t] = level[t - 1] + REVERSION * (np.log(TYPICAL_VIX) - level[t - 1]) + VIX_OF_VIX * shock
    vix = np.exp(level) / 100.0
    before = np.concatenate([vix[:1], vix[:-1]]) / PREMIUM  # a day's volatility is set by the evening before
    multiple = np.concatenate([[1.0], rng.uniform(1.2, 2.2, symbols)])
    correlation = np.concatenate([[1.0], rng.uniform(0.3, 0.6, symbols)])
    alone = rng.standard_t(6, (sessions, 1 + symbols)) * np.sqrt(4.0 / 6.0)
    shocks = correlation * common[:, None] + np.sqrt(1.0 - correlation**2) * alone
    daily = before[:, None] * multiple / np.sqrt(TRADING_DAYS)
    close = 100.0 * np.exp(np.cumsum(daily * shocks - 0.5 * daily**2, axis=0))
    return Strata(close, vix[:, None] * multiple * np.exp(_errors(rng, sessions, symbols)))


def _errors(rng: np.random.Generator, sessions: int, symbols: int) -> Array:
    """Persistent errors of the logarithm of implied volatility; none for the index."""
    noise = ERROR * np.sqrt(1.0 - ERROR_MEMORY**2) * rng.standard_normal((sessions, symbols))
    errors = np.zeros((sessions, 1 + symbols))
    for t in range(1, sessions):
        errors[t, 1:] = ERROR_MEMORY * errors[t - 1, 1:] + noise[t]
    return errors
