"""A rule score that is a weighted sum of components kept with each event: what learnt weights are of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.settings import Settings
from bq.strategies.events import FeatureSet

S = TypeVar("S", bound=Settings)  # a strategy's own settings
LEARNT = "learnt_score"  # column: the score by learnt weights, beside `score`, which never moves
STATE = "weights_v1"  # name of what a policy sees
SPANS = (13, 52)  # matured sessions over which it is measured how the components have paid lately
LEARNT_WEIGHTS = "learnt_weights"  # column: these weights, a list by component
Array = NDArray[np.float64]


class Parts(NamedTuple):
    """What the score of each event is made of."""

    values: Array  # (n_events, n_components), 0 to 100
    less: Array  # (n_events,), taken off whatever the weights


@dataclass(frozen=True)
class Weighing(Generic[S]):
    """The score of an event is `values @ weights - less`.

    given : the weights of the settings, of sum 1: what learnt ones begin with and are held against. parts : of events
    and settings. market : columns of events, known at t0, whose mean over a session says what the market is like.
    """

    components: tuple[str, ...]
    given: Callable[[S], tuple[float, ...]]
    parts: Callable[[pl.DataFrame, S], Parts]
    market: tuple[str, ...] = ()

    @property
    def state(self) -> FeatureSet:
        """Names of what a policy sees: the market, the components, how these have paid lately, and the weights."""
        names = self.components
        recent = [f"{name}_paid_{span}" for span in SPANS for name in names]
        level, own = [f"{name}_mean" for name in names], [f"{name}_weight" for name in names]
        return FeatureSet(STATE, (*(f"market_{name}" for name in self.market), *level, *recent, *own))

    def scored(self, events: pl.DataFrame, weights: Array, settings: S) -> Array:
        """The score of each event. weights : shape (n_components,), or (n_events, n_components)."""
        values, less = self.parts(events, settings)
        return (values * weights).sum(axis=1) - less
