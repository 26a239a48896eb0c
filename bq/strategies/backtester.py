"""The part of a strategy whose rules are backtested as a portfolio: what may be searched, and what a model does there.

`answers` are frames of session, symbol, probability, that an event is in the last class, null where unknown, and
traded, whether the model's policy trades it, null where it does not say.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.settings import Settings

if TYPE_CHECKING:
    from bq.market import MarketData
    from bq.strategies.contract import Exhibit

S = TypeVar("S", bound=Settings)  # a strategy's own settings


class Range(NamedTuple):
    """The numbers from `low` to `high` in steps; whole ones where all three are."""

    low: float
    high: float
    step: float = 1


class Span(NamedTuple):
    """From a first to a last session, both included."""

    start: dt.date
    end: dt.date


class Score(NamedTuple):
    """What one set of parameters did on some spans, each from fresh capital."""

    folds: list[float]  # `tuning.objective` on each span; NaN where it has none
    trades: int  # closed
    hold: float  # mean over the spans of the same figure of buying and holding; NaN where that has none
    series: pl.DataFrame  # session, value (daily return), buy_and_hold (daily return)

    @property
    def value(self) -> float:
        """Mean of the objective over the spans."""
        return float(np.mean(self.folds))


class Scorer(NamedTuple, Generic[S]):
    """A market made ready for one backtest after another."""

    sessions: NDArray[np.datetime64]  # ascending
    symbols: Sequence[str]  # traded
    score: Callable[[S, Sequence[Span]], Score]


@dataclass(frozen=True)
class Backtester(Generic[S]):
    """Rules that trade as a portfolio.

    run : of a market, settings and answers (None: no model is asked); the backtest. priority : of the same; session,
    symbol and the priority by which a decision is made, null: not traded. evaluation : of the same, `start` and
    `title`; what deciding so earns from `start` on, beside the rules alone. scorer : raises BadParameters for settings
    whose trials would be judged on sessions that a model has seen. reason : of a decision's columns and the settings;
    what decided, in clauses for people.
    """

    run: Callable[["MarketData", S, pl.DataFrame | None], Any]
    priority: Callable[["MarketData", S, pl.DataFrame], pl.DataFrame]
    evaluation: Callable[..., "list[Exhibit]"]
    scorer: Callable[["MarketData", S], Scorer[S]]
    ranges: Mapping[str, Range | tuple]  # what a search of the rules tries, by dotted name; a tuple: one of these
    reason: Callable[[Mapping[str, Any], S], list[str]]
    without_model: str  # the parameter by which no model is asked, for people
