"""Whether a value at a session's close is the same when no later bar is known: computed again on shorter histories."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.audit.cut import UNIT, cut
from bq.core.errors import BadData
from bq.core.log import log, progress
from bq.core.scalars import day
from bq.core.settings import Settings
from bq.market import MarketData
from bq.market.calendars import sessions
from bq.strategies import registered, store
from bq.strategies.contract import Strategy
from bq.strategies.registered import Registered

Array = NDArray[np.float64]
TOLERANCE = 1e-6  # of a feature's standard deviation: more than rounding, less than a model can use
EARLY = 4  # bars of the shortest history that is tried
SYMBOLS = 30  # that a feature is computed again on, where there are more


class Changes(NamedTuple):
    """Values that were computed twice."""

    compared: int = 0
    changed: int = 0
    largest: float = 0.0  # change, in standard deviations of the feature; infinite where one of the two is missing
    fault: str = ""  # why it could not be computed on a shorter history

    def __add__(self, other: object) -> "Changes":
        if not isinstance(other, Changes):
            return NotImplemented
        total = self.compared + other.compared, self.changed + other.changed
        return Changes(*total, max(self.largest, other.largest), self.fault or other.fault)


class Checked(NamedTuple):
    """What became of a function on other bars."""

    later: Changes  # without later bars
    unit: Changes  # in another unit of price
    of_bars: bool  # whether it changes at all where bars do


def of_function(own: Registered, bars: pl.DataFrame, *, cuts: int, seed: int) -> Checked:
    """Compute one of the user's own features again on histories that end earlier, and in another unit of price.

    bars : as `registered.inputs` gives them. cuts : histories a symbol; a function of all symbols together is cut at
    so many sessions. They end at sessions drawn at random, and where a value is repeated or an input missing: there it
    may have been filled from what came later.
    """
    rng = np.random.default_rng(seed)
    parts = [bars] if own.across else _drawn(bars.partition_by("symbol", maintain_order=True), rng)
    later, unit, of_bars = Changes(), Changes(), False
    for part in parts:
        whole = _values(own, part)
        spread = _spread(whole)
        unit += _compared(whole, _values(own, _in_another_unit(part)), spread)
        of_bars = of_bars or not _same(whole, _values(own, _other_prices(part, rng)), spread).all()
        for shorter, places in _shorter(part, whole, own, cuts, rng):
            try:
                later += _compared(whole[places], _values(own, shorter), spread)
            except BadData as error:
                later += Changes(fault=str(error))
    return Checked(later, unit, of_bars)


def of_build(
    events: pl.DataFrame,
    market: MarketData,
    strategy: Strategy,
    settings: Settings,
    *,
    at: int,
    twice: bool,
    seed: int,
) -> dict[str, Changes]:
    """Build the events of `at` sessions again as a decision of that day would; twice : and on bars of one session more.

    Features are compared with those of `events`, on which a model trains. An event of theirs that a decision of the day
    would not have has no features, and counts as changed in all.
    """
    columns = strategy.features(settings).columns
    found = dict.fromkeys(columns, Changes())
    if market.bars.is_empty():  # a table that others made: nothing can be built again
        return found
    spreads = {name: _spread(events[name].cast(pl.Float64).fill_null(np.nan).to_numpy()) for name in columns}
    asked = _sessions_of(events, market, at, seed)
    for session in progress(asked, total=len(asked), description="built again"):
        calendar = sessions(market.calendar)["session"]
        following = calendar[int(calendar.search_sorted(session)) + 1]
        for last in (session, following) if twice else (session,):
            try:
                again = store.at(strategy, settings, cut(market, last), session)
            except BadData as error:  # of a day with too little history, say: no one decided then
                log.info("the events of %s cannot be built again as on the day: %s", session, error)
                continue
            both = events.select("event_id", *columns).join(
                again.select("event_id", *columns), on="event_id", suffix="_again", maintain_order="left"
            )
            for name in columns:
                pair = (both[name], both[f"{name}_again"])
                first, second = (values.cast(pl.Float64).fill_null(np.nan).to_numpy() for values in pair)
                found[name] += _compared(first, second, spreads[name])
    return found


def _sessions_of(events: pl.DataFrame, market: MarketData, at: int, seed: int) -> list:
    """Sessions with events, none of them the newest, drawn evenly over time."""
    newest = day(market.bars["session"].max())
    days = events.filter(pl.col("session") < newest)["session"].unique().sort()
    if days.is_empty():
        return []
    edges = np.linspace(0, len(days), min(at, len(days)) + 1).astype(int)
    rng = np.random.default_rng(seed)
    return [days[int(rng.integers(low, high))] for low, high in pairwise(edges)]


def _drawn(parts: list[pl.DataFrame], rng: np.random.Generator) -> list[pl.DataFrame]:
    if len(parts) <= SYMBOLS:
        return parts
    return [parts[i] for i in np.sort(rng.choice(len(parts), SYMBOLS, replace=False))]


def _values(own: Registered, bars: pl.DataFrame) -> Array:
    return registered.compute(own, bars)[own.name].fill_null(np.nan).to_numpy()


def _shorter(
    part: pl.DataFrame, whole: Array, own: Registered, cuts: int, rng: np.random.Generator
) -> Iterator[tuple[pl.DataFrame, NDArray[np.int64]]]:
    """Histories that end earlier, and the rows of `part` that they hold."""
    days = part["session"].unique().sort()
    filled = np.zeros(len(part), bool)
    filled[:-1] = (whole[:-1] == whole[1:]) & np.isfinite(whole[:-1])
    filled |= part.select(pl.any_horizontal(pl.col(own.needs).is_null())).to_series().to_numpy()
    suspects = part["session"].filter(pl.Series(filled)).unique().sort()
    chosen = {*_some(suspects, cuts // 2, rng), *_some(days.slice(0, len(days) - 1), cuts, rng)}
    chosen |= set(days.slice(min(EARLY, len(days) - 1), 1))
    for session in sorted(chosen):
        mask = (part["session"] <= session).to_numpy()
        yield part.filter(pl.Series(mask)), np.flatnonzero(mask)


def _some(days: pl.Series, count: int, rng: np.random.Generator) -> list:
    return days.gather(rng.choice(len(days), min(count, len(days)), replace=False)).to_list() if len(days) else []


def _in_another_unit(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.with_columns(pl.col("open", "high", "low", "close") * UNIT)


def _other_prices(bars: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The same sessions with other values, whatever they were."""
    factors = np.exp(0.05 * rng.standard_normal((len(registered.INPUTS), len(bars))))
    return bars.with_columns(pl.col(name) * pl.Series(by) for name, by in zip(registered.INPUTS, factors, strict=True))


def _spread(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.std()) if len(known) else 0.0


def _same(first: Array, second: Array, spread: float) -> NDArray[np.bool_]:
    absent = ~np.isfinite(first)
    close = np.abs(first - second) <= TOLERANCE * spread + 1e-12
    return np.where(absent, ~np.isfinite(second), close)


def _compared(first: Array, second: Array, spread: float) -> Changes:
    other = ~_same(first, second, spread)
    if not other.any():
        return Changes(len(first))
    change = np.abs(first[other] - second[other]) / max(spread, 1e-300)
    return Changes(len(first), int(other.sum()), float(np.where(np.isfinite(change), change, np.inf).max()))
