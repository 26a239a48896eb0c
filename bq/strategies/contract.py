"""What a strategy is to the rest of the house."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.errors import BadParameters, did_you_mean
from bq.core.settings import Settings
from bq.strategies.component import Component
from bq.strategies.events import REGIMES, Built, FeatureSet, Wanted, refuse_leaks, regime_columns
from bq.strategies.task import Task

if TYPE_CHECKING:
    from bq.market import MarketData


class Exhibit(NamedTuple):
    """A table about a strategy's events, for those who explore them."""

    title: str
    text: str
    table: pl.DataFrame
    curves: pl.DataFrame | None = None  # session, and one column a level: drawn as the growth of 1


class Sketch(NamedTuple):
    """What stands behind one event, for people."""

    caption: str
    tables: Mapping[str, pl.DataFrame]  # title: table
    payoff: pl.DataFrame | None = None  # spot and one column a curve: profit per share
    unit: str = "price"  # of spot, strikes and profit


@dataclass(frozen=True)
class Strategy:
    """Everything the rest of the house knows about a strategy.

    value : of predictions, the column decided by and the settings; what those decisions earned net of costs, one row a
    session (`session`, `value`; null where nothing was chosen), sorted. Decided by None: without choosing at all. The
    gate compares what a model earns so with what the rule score does.
    """

    name: str
    settings: type[Settings]
    feature_sets: Mapping[str, FeatureSet]
    schedule: Callable[["MarketData", Settings], Wanted]
    build: Callable[["MarketData", Settings, Wanted], Built]
    task: Callable[[Settings], Task]
    cells: Callable[[pl.DataFrame], tuple[NDArray[np.int64], NDArray[np.float32]]]  # category and size of each event
    baseline: Callable[[Settings], float]  # the rule score from which the baseline trades
    value: Callable[[pl.DataFrame, str | None, Settings], pl.DataFrame]
    value_name: Callable[[Settings], str]  # what `value` is, for people
    quick: str  # parameter overrides of QUICK=1
    carried: tuple[str, ...] = ()  # columns of events that predictions keep, for `value`
    detail: tuple[str, ...] = ()  # columns of events that a list of trades shows
    success: Task | None = None  # what the second tier learns, where there is one
    cross_sectional: bool = False  # whether an event depends on the other symbols of its session
    requirements: Callable[[pl.DataFrame, Settings], list[Component]] | None = None  # of this strategy's gate alone
    kind: str = "strategy"  # column of events that sorts them into kinds
    exhibits: Callable[[Built, "MarketData", Settings], list[Exhibit]] | None = None  # what is particular to its events
    sketch: Callable[[dict[str, Any], Settings], "Sketch"] | None = None  # what an event is made of, and its pay-off
    sizes: Callable[[pl.DataFrame, str, Settings], pl.Series] | None = None  # weights in a session, by a column
    notices: Callable[[pl.DataFrame, Settings], list[str]] | None = None  # of events: what a run warns of
    results: Callable[[pl.DataFrame, Settings, "MarketData"], list[Exhibit]] | None = None  # of predictions
    # both of a market, settings and probabilities that events are in the last class: session, symbol, probability
    priority: Callable[..., pl.DataFrame] | None = None  # session, symbol, priority: what is decided by; null: no trade
    evaluation: Callable[..., list[Exhibit]] | None = None  # what deciding so earns from `start` on, and without them

    def features(self, settings: Settings) -> FeatureSet:
        """The feature set that the settings name; refused where it holds a leaking column."""
        name, regimes = settings.learning.features, settings.learning.regimes
        found = self.feature_set(f"{name}{REGIMES}{regimes.states}" if regimes else name)
        if found is None:
            raise BadParameters(
                f"`learning.features` must name a feature set, but got {name!r}; "
                f"{did_you_mean(name, self.feature_sets)}"
            )
        return refuse_leaks(found)

    def feature_set(self, name: str) -> FeatureSet | None:
        """The feature set of that name, with the regime columns where it says so; None for an unknown one."""
        plain, _, states = name.partition(REGIMES)
        found = self.feature_sets.get(plain)
        return FeatureSet(name, found.columns + regime_columns(int(states))) if found and states else found
