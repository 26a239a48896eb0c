"""The rule of blocks: how long the blocks are in which a series of overlapping labels is resampled."""

from typing import NamedTuple

import numpy as np
import polars as pl

from bq.core.scalars import number
from bq.stats.bootstrap import Interval, bootstrap_mean, bootstrap_means

HOLDINGS = 1.5  # holding times in a mean block
IC_HOLDINGS = 2.0  # of rank ICs, whose features persist beside their labels


class Blocks(NamedTuple):
    """How a series of sessions is resampled."""

    block: float  # mean block length, in observed sessions
    alpha: float
    draws: int
    seed: int

    def mean(self, values: np.ndarray) -> Interval:
        """Bootstrap mean of one value per session, in time order."""
        return bootstrap_mean(values, **self._asdict())

    @property
    def of_ic(self) -> "Blocks":
        """The same for rank ICs: naive intervals of a null IC miss 0 most where labels overlap."""
        return self._replace(block=self.block * IC_HOLDINGS / HOLDINGS)

    def means(self, values: np.ndarray) -> list[Interval]:
        """Bootstrap means of several series, shape (n_sessions, n_series); NaN where a session has no value."""
        return bootstrap_means(values, **self._asdict())


def mean_block(holding: float, *, gap: float = 1.0, holdings: float = HOLDINGS) -> float:
    """Mean block in rows of a series, at least 1: `holdings` holding times, over the gap between rows.

    holding, gap : in one unit; by default a row is one unit after the other.

    >>> mean_block(10), mean_block(10, holdings=IC_HOLDINGS), mean_block(10, gap=5), mean_block(1, gap=30)
    (15.0, 20.0, 3.0, 1.0)
    """
    return max(holdings * holding / gap, 1.0)


def block_length(events: pl.DataFrame, sessions: pl.Series | None = None) -> float:
    """Mean block of a series that events make: by the 90th percentile of their holding times and its median gap.

    events : with `session` and `t0`, `t1` (UTC). sessions : of the series, default all those of the events.
    Returns rows of the series; 1 where it has fewer than two.
    """
    sessions = events["session"] if sessions is None else sessions
    gaps = sessions.unique().sort().diff().drop_nulls().dt.total_seconds()
    if not len(gaps):
        return 1.0
    holding = (events["t1"] - events["t0"]).dt.total_seconds().quantile(0.9)
    return mean_block(number(holding), gap=number(gaps.median()))
