"""Intervals of a breakout's figures: means over events or trades, resampled by session."""

import numpy as np
import polars as pl

from bq.core.numerals import percent
from bq.core.scalars import number
from bq.stats.bootstrap import Interval, bootstrap_means
from bq.strategies.breakout.prepare import Array
from bq.strategies.breakout.settings import BreakoutSettings


def spread(values: pl.Series, at: pl.Series, days: pl.Series) -> Array:
    """One number for each of `days` whose mean is the mean of `values`, and which varies as that mean does.

    The mean plus what the values of the day deviate from it, over their expected number a day: a mean of unequally
    many values a day is a ratio, and this is its linear part.
    """
    n = len(values)
    if not n:
        return np.full(len(days), np.nan)
    place = days.search_sorted(at).to_numpy()
    mean = number(values.mean())
    deviations = values.to_numpy() - mean
    return mean + np.bincount(place, deviations, len(days)) * len(days) / n


def resampled(columns: Array, block: float, settings: BreakoutSettings) -> list[Interval]:
    """Bootstrap means of the columns, by the gate's settings."""
    gate = settings.gate
    return bootstrap_means(columns, block=block, alpha=gate.alpha, draws=gate.draws, seed=settings.learning.seed)


def sureness(settings: BreakoutSettings) -> str:
    """How sure an interval is, for people."""
    return percent(1 - 2 * settings.gate.alpha)
