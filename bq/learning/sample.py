"""What a model is trained on, and what is done to features before a base model sees them."""

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.settings import Learning

Float32 = NDArray[np.float32]
Rows = NDArray[np.int64]


class Sample(NamedTuple):
    """What a model is trained on, row by row in time order; see `sample` in walkforward."""

    x: Float32  # (n_events, n_features), NaN where missing; columns of regimes last
    label: NDArray[Any]  # class index (int64), or the target of a regression (float64)
    outcome: NDArray[np.float64]
    weight: Float32
    category: NDArray[np.int64]  # structure, for instance: class means are kept apart by it
    size: Float32
    events: pl.DataFrame  # session, t0, t1_due

    def rows(self, index: Rows) -> "Sample":
        """The rows of `index`."""
        return Sample(*(part[index] for part in self))


class Bounds(NamedTuple):
    """Training bounds and medians of each feature, shape (n_features,)."""

    low: Float32
    high: Float32
    median: Float32

    @staticmethod
    def of(x: Float32, *, regimes: int = 0) -> "Bounds":
        """Bounds of the finite values; 0 for a feature that is missing everywhere.

        regimes : how many of the last columns are probabilities of regimes. For them the mean stands in for the
        median: means of probabilities add up to 1.
        """
        finite = np.where(np.isfinite(x), x, np.nan)
        finite[:, np.isnan(finite).all(axis=0)] = 0.0
        median = np.nanmedian(finite, axis=0)
        if regimes:
            median[-regimes:] = np.nanmean(finite[:, -regimes:], axis=0, dtype=np.float64)
        parts = (np.nanmin(finite, axis=0), np.nanmax(finite, axis=0), median)
        return Bounds(*(part.astype(np.float32) for part in parts))

    def apply(self, x: Float32) -> Float32:
        """Clip to the bounds (infinities too), then put the median where a value is missing."""
        return np.where(np.isnan(x), self.median, np.clip(x, self.low, self.high))


class Preparation(NamedTuple):
    """What is learnt about features alone, or about which of them to use, in one training window."""

    bounds: Bounds
    columns: Rows | None  # of those the base models see, in this order; None: all

    @staticmethod
    def of(train: Sample, learning: Learning) -> "Preparation":
        """Bounds and selected columns of `train`; columns of regimes are never selected away."""
        regimes = count_regimes(learning)
        bounds = Bounds.of(train.x, regimes=regimes)
        if learning.select is None:
            return Preparation(bounds, None)
        from bq.learning import selection

        own = train.x.shape[1] - regimes
        chosen = selection.select(train.x[:, :own], train.label, train.events["session"].to_numpy(), learning.select)
        if not len(chosen):  # nothing stood out: a model of all of them says so better than none
            chosen = np.arange(own)
        return Preparation(bounds, np.append(chosen, np.arange(own, own + regimes)))

    def apply(self, x: Float32) -> Float32:
        """Features as base models see them: clipped, imputed, selected."""
        ready = self.bounds.apply(x)
        return ready if self.columns is None else ready[:, self.columns]


def count_regimes(learning: Learning) -> int:
    """How many of the last feature columns are probabilities of regimes."""
    return learning.regimes.states if learning.regimes else 0


def decayed(train: Sample, half_life_days: float | None) -> Sample:
    """`train` with weights halved for every half-life between an event and the newest one.

    Their sum falls to the share of events that still count, (Σd)² / (n Σd²) for decays d (Kish 1965): models regularise
    by it. With None the weights stay as they are.
    """
    if half_life_days is None:
        return train
    t0 = train.events["t0"]
    age = (t0.max() - t0).dt.total_seconds().to_numpy() / 86_400.0
    decay = 0.5 ** (age / half_life_days)
    counting = decay.sum() ** 2 / (len(decay) * (decay**2).sum())
    weight = train.weight * decay
    scale = counting * train.weight.sum(dtype=np.float64) / weight.sum()
    return train._replace(weight=(weight * scale).astype(np.float32))
