"""Bars whose days are in another order: the same moves, and nothing in them that one day says of a later one.

The days of all names are exchanged together, so that the cross-section of a day stays as it was; gaps overnight and
moves between open and close are exchanged apart. In blocks, so that what lasts a few days (volatility above all) lasts.
Method: Masters 2018, Permutation and Randomization Tests for Trading System Development.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Bars(NamedTuple):
    """Arrays of shape (n_sessions, n_symbols); NaN where a name has no bar, or the source no such value."""

    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    iv: Array


def permuted(bars: Bars, *, block_sessions: int, seed: int) -> Bars:
    """Exchange the days after the first, in blocks of so many sessions.

    bars : continuous through splits. Each name has a close in the first and the last session (ValueError); a session
    without a bar in between is a day like others, on which the price stands. First and last close stay what they are.
    """
    if not (np.isfinite(bars.close[0]) & np.isfinite(bars.close[-1])).all():
        raise ValueError("permuted: every name must have a close in the first and in the last session.")
    rng = np.random.default_rng(seed)
    nights, days = (1 + _order(rng, len(bars.close) - 1, block_sessions) for _ in range(2))
    close = np.log(_known(bars.close))
    opened = np.where(np.isfinite(bars.open) & np.isfinite(bars.close), np.log(bars.open), np.nan)
    before = np.vstack([close[:1], close[:-1]])
    start = np.where(np.isfinite(opened), opened, before)  # without an open the day begins at the close before
    night, day = (start - before)[nights], (close - start)[days]
    moved = close[0] + np.cumsum(night + day, axis=0)
    began = moved - day

    def beside(level: Array) -> Array:
        """Prices at their old distance from where their day began."""
        return np.exp(np.vstack([level[:1], began + (level - start)[days]]))

    whole = Bars(
        open=beside(opened),
        high=beside(np.log(bars.high)),
        low=beside(np.log(bars.low)),
        close=np.exp(np.vstack([close[:1], moved])),
        volume=np.vstack([bars.volume[:1], bars.volume[days]]),
        iv=np.vstack([bars.iv[:1], bars.iv[days]]),
    )
    there = np.vstack([np.ones((1, bars.close.shape[1]), bool), np.isfinite(bars.close)[days]])
    return Bars._make(np.where(there, values, np.nan) for values in whole)


def _order(rng: np.random.Generator, count: int, block: int) -> NDArray[np.int64]:
    """0 … count − 1 in blocks whose order is random; where the blocks begin is random too."""
    edges = np.unique(np.clip(np.arange(rng.integers(1, block + 1), count + block, block), 0, count))
    blocks = np.split(np.arange(count), edges[:-1])
    return np.concatenate([blocks[number] for number in rng.permutation(len(blocks))])


def _known(values: Array) -> Array:
    """Each column's last value so far."""
    rows = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values))[:, None], 0), axis=0)
    return np.take_along_axis(values, rows, axis=0)
