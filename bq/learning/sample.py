"""Training samples, and the preparation of features before a base model sees them."""

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.scalars import count
from bq.core.settings import Learning, Selection

Float32 = NDArray[np.float32]
Rows = NDArray[np.int64]
FORGOTTEN = 10.0  # half-lives after which an event no longer trains


class Sample(NamedTuple):
    """What a model is trained on, row by row in time order; made by `bq.learning.walkforward.sample`."""

    x: Float32  # (n_events, n_features), NaN where missing; columns of regimes last
    label: NDArray[Any]  # class index (int64), or the target of a regression (float64)
    outcome: NDArray[np.float64]
    weight: Float32
    category: NDArray[np.int64]  # such as the option structure: class means are separate for each
    size: Float32
    events: pl.DataFrame  # session, t0, t1_due
    names: tuple[str, ...] = ()  # of the columns of `x`; needed to recognise lags

    def rows(self, index: Rows) -> "Sample":
        """The rows of `index`."""
        return Sample(
            x=self.x[index],
            label=self.label[index],
            outcome=self.outcome[index],
            weight=self.weight[index],
            category=self.category[index],
            size=self.size[index],
            events=self.events[index],
            names=self.names,
        )


class Bounds(NamedTuple):
    """Training bounds and medians of each feature, shape (n_features,)."""

    low: Float32
    high: Float32
    median: Float32

    @staticmethod
    def of(x: Float32, *, regimes: int = 0) -> "Bounds":
        """Bounds of the finite values; 0 for a feature that is missing everywhere.

        regimes : how many of the last columns are probabilities of regimes. For them the mean replaces the
        median, as means of probabilities add up to 1. Where no regime is known all are equally likely: an early
        window may lie before the first that is, and no event of it then weighs more than another.
        """
        found = np.zeros((3, x.shape[1]), np.float32)
        for column, values in enumerate(x.T):
            known = values[np.isfinite(values)]
            if len(known):
                probability = column >= x.shape[1] - regimes
                middle = known.mean(dtype=np.float64) if probability else np.median(known)
                found[:, column] = known.min(), known.max(), middle
            elif column >= x.shape[1] - regimes:
                found[:, column] = 1.0 / regimes
        return Bounds(*found)

    def apply(self, x: Float32) -> Float32:
        """Clip to the bounds (infinities too), then replace missing values by the median."""
        ready = np.clip(x, self.low, self.high)
        np.copyto(ready, self.median, where=np.isnan(x))
        return ready


class Preparation(NamedTuple):
    """Feature bounds and selected features, learnt in one training window."""

    bounds: Bounds
    columns: Rows | None  # that the base models see, in this order; None: all

    @staticmethod
    def of(train: Sample, learning: Learning) -> "Preparation":
        """Bounds and selected columns of `train`; regime columns always stay."""
        regimes = count_regimes(learning)
        bounds = Bounds.of(train.x, regimes=regimes)
        if learning.select is None:
            return Preparation(bounds, None)
        own = train.x.shape[1] - regimes
        chosen = _selected(train, learning, learning.select, own=own)
        if not len(chosen):  # no feature stood out: train on all rather than on none
            chosen = np.arange(own)
        return Preparation(bounds, np.append(chosen, np.arange(own, own + regimes)))

    def apply(self, x: Float32) -> Float32:
        """Features as base models see them: clipped, imputed, selected."""
        ready = self.bounds.apply(x)
        return ready if self.columns is None else ready[:, self.columns]


def _selected(train: Sample, learning: Learning, settings: Selection, *, own: int) -> Rows:
    """The best of the first `own` columns; a feature with lags takes part with its chosen lag alone."""
    from bq.learning import selection

    x, session, stays = train.x[:, :own], train.events["session"].to_numpy(), np.arange(own)
    lags = selection.lag_variants(train.names[:own])
    if lags:
        how = {"horizon": overlap(train.events), "seed": learning.seed}
        stays = selection.choose_lags(x, train.label, session, lags, settings, **how)
        x = x[:, stays]
    return stays[selection.select(x, train.label, session, settings)]


def overlap(events: pl.DataFrame) -> int:
    """Largest number of sessions of `events` that a label spans."""
    starts = events["t0"].unique().sort()
    spans = starts.search_sorted(events["t1_due"]) - starts.search_sorted(events["t0"])
    return count(spans.max())


def count_regimes(learning: Learning) -> int:
    """How many of the last feature columns are probabilities of regimes."""
    return learning.regimes.states if learning.regimes else 0


def decayed(train: Sample, half_life_days: float | None) -> Sample:
    """`train` with weights halved for every half-life between an event and the newest one.

    Their sum falls to the share of events that still count, (Σd)² / (n Σd²) for decays d (Kish 1965): models regularise
    by it. Events older than ten half-lives, of less than a thousandth of the newest one's weight, are left out. With
    None the weights stay as they are.
    """
    if half_life_days is None:
        return train
    age = train.events.select(pl.col("t0").max() - pl.col("t0")).to_series()
    half_lives = age.dt.total_seconds().to_numpy() / 86_400.0 / half_life_days
    decay = 0.5**half_lives
    counting = decay.sum() ** 2 / (len(decay) * (decay**2).sum())
    weight = train.weight * decay
    scale = counting * train.weight.sum(dtype=np.float64) / weight.sum()
    whole = train._replace(weight=(weight * scale).astype(np.float32))
    return whole.rows(np.flatnonzero(half_lives <= FORGOTTEN))
