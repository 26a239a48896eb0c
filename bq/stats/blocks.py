"""The rule of blocks: how long the blocks are in which a series of overlapping labels is resampled."""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.scalars import number
from bq.stats.bootstrap import Interval, bootstrap_mean, bootstrap_means

HOLDINGS = 1.5  # holding times in a mean block
IC_HOLDINGS = 2.0  # of rank ICs, whose features persist beside their labels
Array = NDArray[np.float64]


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


def mean_block(holding: float, *, holdings: float = HOLDINGS) -> float:
    """Mean block in rows of a series, at least 1: `holdings` holding times.

    holding : rows that a holding time spans.

    >>> mean_block(10), mean_block(10, holdings=IC_HOLDINGS), mean_block(0.5)
    (15.0, 20.0, 1.0)
    """
    return max(holdings * holding, 1.0)


def block_length(events: pl.DataFrame, sessions: pl.Series | None = None) -> float:
    """Mean block of a series that events make: 1.5 times the 90th percentile of their holding sessions.

    events : with `session` and `t0`, `t1` (UTC). sessions : of the series, default all those of the events. A holding
    time is counted in sessions of the series that it spans, where they lie close together as where they lie apart;
    what is held beyond the last one is counted by their mean gap.
    Returns rows of the series; 1 where it has fewer than two.
    """
    rows = (events["session"] if sessions is None else sessions).unique().sort().cast(pl.Datetime("us"))
    if len(rows) < 2 or events.is_empty():
        return 1.0
    begins = _seconds(events["session"].cast(pl.Datetime("us")))
    held = (events["t1"] - events["t0"]).dt.total_seconds().to_numpy()
    spanned = _row_at(begins + held, _seconds(rows)) - _row_at(begins, _seconds(rows))
    return mean_block(number(pl.Series(spanned).quantile(0.9)))


def _seconds(moments: pl.Series) -> Array:
    return moments.to_physical().to_numpy() / 1e6


def _row_at(moments: Array, rows: Array) -> Array:
    """The row, with its fraction, that each moment falls on; before the first and behind the last by the mean gap."""
    gap = (rows[-1] - rows[0]) / (len(rows) - 1)
    inside = np.interp(moments, rows, np.arange(len(rows)))
    return inside + (np.minimum(moments - rows[0], 0.0) + np.maximum(moments - rows[-1], 0.0)) / gap
