"""What a strategy is to the rest of the package, in parts: its event table, its task, what choosing earns, what it
shows, where its rules are backtested as a portfolio, the backtester, and where they are traded, the desk.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.errors import BadParameters, did_you_mean
from bq.core.settings import Settings
from bq.strategies import policy
from bq.strategies.component import Component
from bq.strategies.events import (
    JOINED,
    MINE,
    OWN,
    REGIMES,
    Built,
    FeatureSet,
    Wanted,
    own_features,
    refuse_leaks,
    regime_columns,
)
from bq.strategies.layout import Layout
from bq.strategies.task import Task
from bq.strategies.ticket import Ticket
from bq.strategies.weighing import Weighing

if TYPE_CHECKING:
    from bq.market import MarketData
    from bq.strategies.backtester import Backtester
    from bq.strategies.desk import Desk

S = TypeVar("S", bound=Settings)  # a strategy's own settings


class Exhibit(NamedTuple):
    """A table about a strategy's events, for those who explore them."""

    title: str
    text: str
    table: pl.DataFrame
    curves: pl.DataFrame | None = None  # session, and one column a level: drawn as the growth of 1
    note: str = ""  # what a reader needs once: on a page, not on a terminal
    page_only: bool = False


class Sketch(NamedTuple):
    """What stands behind one event, for people."""

    caption: str
    tables: Mapping[str, pl.DataFrame]  # title: table
    payoff: pl.DataFrame | None = None  # spot and one column a curve: profit per share
    unit: str = "price"  # of spot, strikes and profit


class Counter(NamedTuple):
    """A line of a run's health: what was counted, how many of how many, and why or which (a reader sees the first)."""

    what: str
    number: int
    of: int
    why: Sequence[str]


def every_bar(market: "MarketData", settings: Settings) -> Wanted:
    """Every session of every symbol that has a bar."""
    bars = market.bars.sort("session")
    return {symbol: group["session"].to_list() for (symbol,), group in bars.group_by("symbol", maintain_order=True)}


Columns = Mapping[str, Any]  # values by name: lists, or the columns of a table
Cells = tuple[NDArray[np.int64], NDArray[np.float32]]  # category and size of each event


def one_cell(events: pl.DataFrame) -> Cells:
    """All events alike."""
    return np.zeros(len(events), np.int64), np.zeros(len(events), np.float32)


def kinds_and_sizes(kinds: Iterable[str | None], known: Sequence[str], sizes: Sequence[float | None]) -> Cells:
    """Place of each kind among the known ones (their number: another, or none) and sizes; a missing one is NaN.

    Plain loops: on the single row of a request they take a tenth of what a table's expressions do.
    """
    place: dict[str | None, int] = {name: number for number, name in enumerate(known)}
    return np.array([place.get(kind, len(known)) for kind in kinds], np.int64), np.array(sizes, np.float32)


@dataclass(frozen=True)
class Table(Generic[S]):
    """How a market becomes events.

    cells : category and size of each event, from the columns `cells_from`; class means are kept apart by them.
    """

    build: Callable[["MarketData", S, Wanted], Built]
    feature_sets: Sequence[FeatureSet]
    schedule: Callable[["MarketData", S], Wanted] = every_bar
    cells: Callable[[Any], Cells] = one_cell  # of `Columns`
    cells_from: tuple[str, ...] = ()
    cross_sectional: bool = False  # whether an event depends on the other symbols of its session
    quoted: bool = False  # whether the outcome of an event of source real comes from option quotes
    kind: str = "strategy"  # column that sorts events into kinds
    carried: tuple[str, ...] = ()  # columns that predictions keep, for `Value.earned`
    detail: tuple[str, ...] = ()  # columns that a list of trades shows


def chosen_by_policy(predictions: pl.DataFrame, by: str, settings: Settings) -> pl.DataFrame:
    """What the settings' policy trades, see `policy.chosen`."""
    return policy.chosen(predictions, by, settings.policy.k)


def earned_by_policy(predictions: pl.DataFrame, by: str | None, settings: Settings) -> pl.DataFrame:
    """What the settings' policy earned, see `policy.earned`."""
    return policy.earned(predictions, by, settings.policy.k)


def outcomes_hold_none(settings: S) -> S:
    """The same settings: costs are no part of outcomes."""
    return settings


def nothing_more(predictions: pl.DataFrame, settings: Settings, market: "MarketData | None") -> list[Component]:
    """Nothing beside what the gate asks of every strategy."""
    return []


@dataclass(frozen=True)
class Value(Generic[S]):
    """What choosing earns: by it the gate compares a model with the rule score.

    chosen : of predictions, the column decided by and the settings; those that are traded, with `weight`, the share of
    the session's capital (negative: sold short), sessions in order.
    earned : of the same; what those trades earned net of costs, one row a session (`session`, `value`), sorted; 0 where
    nothing was traded. Decided by None: without choosing at all.
    requirements : of predictions, settings and market; what this strategy's gate asks beside the common ones.
    sizes : of a session's decisions, the column decided by and the settings; the weight of each in the strategy's
    portfolio. None: a decision has no weight.
    hedge : of predictions, settings and market; what being long the market would have earned in the place and time of
    each event, in the unit of its outcome: what the gate takes out of a result. None: outcomes have no such part.
    before_costs : of settings; those under which the same events have their outcomes before costs.
    contributions : as `earned`, what each name added to a session (`session`, `symbol`, `value`); their sum is what was
    earned. For a portfolio that takes long to form; None: choosing anew without a name is cheap.
    """

    chosen: Callable[[pl.DataFrame, str, S], pl.DataFrame] = chosen_by_policy
    earned: Callable[[pl.DataFrame, str | None, S], pl.DataFrame] = earned_by_policy
    name: Callable[[S], str] = lambda settings: policy.name(settings.policy, "net outcome")  # of `earned`, for people
    requirements: Callable[[pl.DataFrame, S, "MarketData | None"], list[Component]] = nothing_more
    sizes: Callable[[pl.DataFrame, str, S], pl.Series] | None = None
    contributions: Callable[[pl.DataFrame, str, S], pl.DataFrame] | None = None
    hedge: Callable[[pl.DataFrame, S, "MarketData"], pl.Series] | None = None
    before_costs: Callable[[S], S] = outcomes_hold_none


def by_symbol(event: Mapping[str, Any], settings: Settings) -> Sketch:
    """The symbol alone."""
    return Sketch(event["symbol"], {})


def no_ticket(event: Mapping[str, Any], settings: Settings) -> Ticket | None:
    """Nothing that its own columns do not say."""
    return None


def nothing_against(event: Mapping[str, Any], trade: bool, settings: Settings) -> list[str]:
    """Nothing."""
    return []


@dataclass(frozen=True)
class Views(Generic[S]):
    """What a strategy has to show of its own; by default nothing.

    against : of an event and whether it is traded; what of it reads as the opposite, and that it does not decide, in
    clauses for people.
    """

    exhibits: Callable[[Built, "MarketData", S], list[Exhibit]] = lambda made, market, settings: []
    results: Callable[[pl.DataFrame, S, "MarketData"], list[Exhibit]] = lambda predictions, settings, market: []
    sketch: Callable[[Mapping[str, Any], S], Sketch] = by_symbol  # what an event is made of, and its pay-off
    ticket: Callable[[Mapping[str, Any], S], Ticket | None] = no_ticket  # what it takes to trade an event by hand
    notices: Callable[[pl.DataFrame, S], list[str]] = lambda events, settings: []  # what a run warns of
    counters: Callable[[pl.DataFrame], list[Counter]] = lambda events: []  # of events, for a run's health
    against: Callable[[Mapping[str, Any], bool, S], list[str]] = nothing_against


@dataclass(frozen=True)
class Strategy(Generic[S]):
    """Everything the rest of the package knows about a strategy."""

    name: str
    settings: type[S]
    table: Table[S]
    task: Callable[[S], Task]  # what is learned of an event, and when a decision trades
    success: Task | None = None  # what the second tier learns, where there is one
    value: Value[S] = Value()
    views: Views[S] = Views()
    backtester: "Backtester[S] | None" = None  # of rules that trade as a portfolio of their own
    desk: "Callable[[MarketData, S], Desk] | None" = None  # how its decisions are traded; None: they are not
    weighing: Weighing[S] | None = None  # where the rule score is a weighted sum of components that events keep
    layout: Layout | None = None  # of tables that others made of its decisions; None: its gate needs bars
    quick: str = ""  # parameter overrides of QUICK=1

    def features(self, settings: Settings) -> FeatureSet:
        """The features that the settings name, in their order; refused where they hold a leaking column."""
        regimes, table = settings.learning.regimes, settings.market.table
        if table and table.features:
            return refuse_leaks(own_features(table.features))
        names = [part for given in settings.learning.feature_sets for part in self._named(given)]
        name = JOINED.join(dict.fromkeys(names)) + (f"{REGIMES}{regimes.states}" if regimes else "")
        found = self.feature_set(name)
        assert found is not None  # each part is known
        return refuse_leaks(found)

    def _named(self, given: str) -> tuple[str, ...]:
        """What a text of `learning.features` means: a feature set, or features of the user's own."""
        if given.startswith(MINE):
            from bq.strategies import registered

            return registered.matching(given)
        known = [features.name for features in self.table.feature_sets]
        if given not in known:
            raise BadParameters(
                f"`learning.features` must name a feature set, but got {given!r}; {did_you_mean(given, known)}"
            )
        return (given,)

    def feature_set(self, name: str) -> FeatureSet | None:
        """The feature set of that name, as `features` makes it of several; None for an unknown one."""
        if name.startswith(OWN):
            return own_features(name.removeprefix(OWN).split(","))
        plain, _, states = name.partition(REGIMES)
        columns: list[str] = []
        for part in plain.split(JOINED):
            known = self._columns(part)
            if known is None:
                return None
            columns.extend(known)
        unique = tuple(dict.fromkeys(columns))
        return FeatureSet(name, unique + (regime_columns(int(states)) if states else ()))

    def _columns(self, name: str) -> tuple[str, ...] | None:
        if name.startswith(MINE):
            from bq.strategies import registered

            return (name,) if name in registered.known() else None
        return next((features.columns for features in self.table.feature_sets if features.name == name), None)
