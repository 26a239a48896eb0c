"""The event store: built once, extended as bars arrive, rebuilt where history changed."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import polars as pl

from bq import market as bars
from bq.core import files
from bq.core.errors import BadData
from bq.core.log import log
from bq.core.scalars import day
from bq.core.settings import Settings
from bq.market import MarketData
from bq.market.bars import sorted_by
from bq.market.calendars import sessions
from bq.strategies import event_set, registered
from bq.strategies.contract import Strategy
from bq.strategies.events import Built, FeatureSet, Wanted, average_uniqueness, conform, in_order
from bq.strategies.labelled import kept
from bq.strategies.task import Task

if TYPE_CHECKING:
    from bq.analysis.regimes import Estimate

HANDED = (".events.parquet", ".refused.parquet", ".bars.parquet", ".quotes.parquet")  # in the folder of a run under way
DAY = ("symbol", "session")


class Collection(NamedTuple):
    """The events of a strategy on a market."""

    events: pl.DataFrame  # contract columns, then the strategy's own
    refused: pl.DataFrame  # symbol, session, reason
    data_hash: str  # of the events: what a model trained on
    built: int  # events computed in this call
    regimes: "Sequence[Estimate]" = ()  # each January's estimate of the filter of market regimes; empty without regimes


Aside = Callable[[], tuple[Collection, MarketData]]  # reads what lies on the disk meanwhile


def market_data(settings: Settings) -> MarketData:
    """What events are made of: bars, or a labelled table, of which there are findings and counts and no bars."""
    if settings.market.table is None:
        return bars.load(settings.market)
    return kept.market_data(kept.load(settings), settings)


def collect(strategy: Strategy, settings: Settings, market: MarketData) -> Collection:
    """The events of `settings`' schedule: the stored ones that are still valid, and the missing ones computed now.

    A stored event is valid while its symbol's bars up to the store's last session are unchanged; an open one only until
    there are newer bars. Ids do not depend on when an event was built. With market.source: labelled the events are
    those of the tables that were collected.
    """
    if settings.market.table is not None:
        return _of_tables(strategy, settings, market)
    wanted = strategy.table.schedule(market, settings)
    folder = event_set.folder_of(strategy, settings)
    found = event_set.read(folder)
    stored = _holding(found, market, whole=strategy.table.cross_sectional)
    found = found._replace(tables=())  # as large as what was made of them
    kept = len(stored.events)
    missing = _missing(wanted, stored)
    count = sum(map(len, missing.values()))
    if count:
        stored = _together(stored, strategy.table.build(market, settings, missing))
    if stored.events.is_empty():
        raise BadData(_nothing(strategy, stored.refused))
    stored = Built(sorted_by(stored.events, ("t0", "symbol")), sorted_by(stored.refused, ("session", "symbol")))
    if count:
        event_set.save(folder, stored, market, instead_of=found)
    new = len(stored.events) - kept
    stored = _scheduled(stored, wanted)
    log.info("%d events, %d of them computed now", len(stored.events), new)
    return finished(strategy, settings, market, Built(*(begun(table, settings) for table in stored)), new)


def _together(stored: Built, built: Built) -> Built:
    return Built(*(pl.concat(pair) if len(pair[0]) else pair[1] for pair in zip(stored, built, strict=True)))


def begun(rows: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The rows of sessions that train and are evidence: those since `learning.since`, all without it.

    Raises BadData where events are given and none is left.
    """
    first = settings.learning.since
    left = rows if first is None else rows.filter(pl.col("session") >= first)
    if left.is_empty() and len(rows) and "event_id" in rows.columns:
        newest = day(rows["session"].max())
        raise BadData(f"learning.since ({first}): an event must begin on it or later, but the newest is of {newest}.")
    return left


def _of_tables(strategy: Strategy, settings: Settings, market: MarketData) -> Collection:
    """The events of labelled tables that are asked for; a feature that a table does not have is missing."""
    not_asked, outside = kept.asked(settings)
    events = kept.load(settings).events.filter(~not_asked, ~outside)
    own = settings.market.table.features if settings.market.table else []
    strange = [name for name in own if name not in events.columns]
    if strange or events.is_empty():
        lacks = f"columns {', '.join(strange)}" if strange else "an event of the symbols and dates asked for"
        raise BadData(f"what was collected must have {lacks}, but has not. Collect it again with these settings.")
    known = [name for features in strategy.table.feature_sets for name in features.columns]
    beside = strategy.layout.beside if strategy.layout else ()
    absent = dict.fromkeys(name for name in (*known, *beside) if name not in events.columns)
    events = events.with_columns(pl.lit(None, pl.Float64).alias(name) for name in absent)
    return finished(strategy, settings, market, Built(begun(events, settings)), 0)


@contextmanager
def handed_over(collection: Collection, market: MarketData, folder: Path) -> Iterator[Aside]:
    """Leave a collection in a run's folder for as long as its notebooks work: they take these very events.

    Yields a function that reads collection and market anew: who lets go of both meanwhile leaves the notebooks their
    memory.
    """
    try:
        for name, table in zip(
            HANDED, (collection.events, collection.refused, market.bars, market.quotes), strict=True
        ):
            files.write_parquet(folder / name, table)
        collection = collection._replace(events=pl.DataFrame(), refused=pl.DataFrame())
        market = replace(market, bars=pl.DataFrame(), quotes=pl.DataFrame())

        def returned() -> tuple[Collection, MarketData]:
            events, refused, bars, quotes = (files.read_parquet(folder / name) for name in HANDED)
            return collection._replace(events=events, refused=refused), replace(market, bars=bars, quotes=quotes)

        yield returned
    finally:
        for name in HANDED:
            (folder / name).unlink(missing_ok=True)


def received(folder: Path, table: Literal["events", "refused"]) -> pl.DataFrame | None:
    """A table of the events that a run has left in its folder; None where it has not."""
    path = folder / f".{table}.parquet"
    return files.read_parquet(path) if path.exists() else None


def at(strategy: Strategy, settings: Settings, market: MarketData, session: dt.date) -> pl.DataFrame:
    """The events of one session, on the schedule or not, for deciding; nothing is stored."""
    symbols = market.bars.filter(pl.col("session") == session)["symbol"].unique().sort()
    if symbols.is_empty():
        sessions = market.bars["session"]
        near = min(sessions.unique().sort(), key=lambda one: (abs(one - session), one))
        raise BadData(
            f"DATE must be a session with bars, but {session} has none; the nearest is {near}, "
            f"the newest {day(sessions.max())}."
        )
    built = strategy.table.build(market, settings, {symbol: [session] for symbol in symbols})
    return finished(strategy, settings, market, built, len(built.events)).events


def on(strategy: Strategy, settings: Settings, market: MarketData, wanted: Wanted) -> pl.DataFrame:
    """The events of these sessions of symbols, on the schedule or not: stored ones where they are valid, the others
    built now; nothing is stored. With market.source: labelled those of the tables that were collected."""
    if settings.market.table is not None:
        return _of_tables(strategy, settings, market).events.join(days_of(wanted), on=DAY, how="semi")
    found = event_set.read(event_set.folder_of(strategy, settings))
    stored = _holding(found, market, whole=strategy.table.cross_sectional)
    missing = _missing(wanted, stored)
    parts = [_scheduled(stored, wanted).events] if len(stored.events) else []
    if missing:
        parts.append(strategy.table.build(market, settings, missing).events)
    events = pl.concat(parts) if parts else pl.DataFrame()
    return finished(strategy, settings, market, Built(events), 0).events if len(events) else events


def finished(strategy: Strategy, settings: Settings, market: MarketData, built: Built, count: int) -> Collection:
    """Built events as training takes them: with weights, labels and regimes. count : how many of them are new."""
    events = weighed(built.events, market.calendar)
    features, task = strategy.features(settings), strategy.task(settings)
    events = events.with_columns(label=task.label(pl.col("outcome")))
    regimes: Sequence[Estimate] = ()
    if settings.learning.regimes:
        from bq.strategies import regime

        line = regime.timeline(market, settings.learning.regimes)
        events, regimes = regime.attach(events, line), line.estimates
    events = registered.attach(events, market, features.columns)
    contract = conform(events, features, task)
    own = [name for name in events.columns if name not in contract.columns]
    whole = contract.hstack(in_order(events).select(own))
    return Collection(whole, built.refused, _digest(contract), count, regimes)


def weighed(events: pl.DataFrame, calendar: str) -> pl.DataFrame:
    """Average uniqueness of each label among its symbol's, by sessions from the entry to the latest possible end."""
    closes = sessions(calendar)["close_utc"]
    numbered = events.select(
        "symbol",
        first=pl.Series(closes.search_sorted(events["t0"], "right").cast(pl.Int64)),
        last=pl.Series(closes.search_sorted(events["t1_due"]).cast(pl.Int64)),
    ).with_row_index("row")
    weight = np.empty(len(events), np.float32)
    for _, own in numbered.group_by("symbol"):
        weight[own["row"].to_numpy()] = average_uniqueness(own["first"].to_numpy(), own["last"].to_numpy())
    return events.with_columns(weight=pl.Series(weight))


def events_hash(events: pl.DataFrame, features: FeatureSet, task: Task) -> str:
    """SHA-256 of the content of events, whatever stands behind the contract's columns."""
    return _digest(conform(events, features, task))


def _digest(contract: pl.DataFrame) -> str:
    parts = [f"{name} {kind}" for name, kind in contract.schema.items()]
    return files.digest([parts, [files.sha256(_content(column)) for column in contract]], 64)


def _content(column: pl.Series) -> bytes:
    """The bytes of a column's values, missing ones apart; all NaN are one."""
    known = column.is_not_null()
    if column.dtype in (pl.String, pl.Enum):
        return "\x1f".join(column.cast(pl.String).fill_null("\x00")).encode()
    if column.dtype.is_float():
        values = column.fill_null(0.0).fill_nan(float("nan"))
    else:
        values = column.to_physical().fill_null(0)
    return known.to_numpy().tobytes() + values.to_numpy().tobytes()


def _holding(found: event_set.Stored, market: MarketData, *, whole: bool) -> Built:
    """What is stored and still valid: events and refused dates of symbols whose history is unchanged; of events that
    are open only where no bar is newer.

    whole : one symbol's change makes all events stale.
    """
    nothing = Built(pl.DataFrame(), pl.DataFrame())
    last = found.through
    if last is None:
        return nothing
    newest = day(market.bars["session"].max())
    if newest < last:
        log.info(
            "the stored events were computed from bars up to %s, but the bars read now end earlier: "
            "all are computed again",
            last,
        )
        return nothing
    present = set(market.bars["symbol"].unique())
    known = {symbol: digest for symbol, digest in found.symbols.items() if symbol in present}
    good = [symbol for symbol, digest in known.items() if market.content(symbol, last) == digest]
    changed = sorted(set(known) - set(good))
    if whole and (changed or set(found.symbols) != present):
        log.info("the symbols or their history changed: all events of the cross-section are computed again")
        return nothing
    if changed:
        log.warning("the history of some symbols changed, and their events are computed again: %s", ", ".join(changed))
    try:
        events, refused = (table(good) for table in found.tables)
    except BadData as error:
        log.warning("the stored events are damaged, and computed again: %s", error)
        return nothing
    return Built(events if newest == last else events.filter(pl.col("t1").is_not_null()), refused)


def _scheduled(stored: Built, wanted: Wanted) -> Built:
    """The rows on the schedule: a schedule that is drawn may leave out what an earlier draw had."""
    schedule = days_of(wanted)

    def on_it(frame: pl.DataFrame) -> pl.DataFrame:
        if frame.is_empty() or frame.select(DAY).join(schedule, on=DAY, how="anti").is_empty():
            return frame  # the join would copy it
        return frame.join(schedule, on=DAY, how="semi", maintain_order="left")

    return Built(*map(on_it, stored))


def _missing(wanted: Wanted, stored: Built) -> Wanted:
    """What is wanted and neither an event nor a refused date yet."""
    done = [frame.select(*DAY) for frame in stored if len(frame)]
    left = days_of(wanted).join(pl.concat(done), on=DAY, how="anti", maintain_order="left") if done else days_of(wanted)
    return {symbol: part["session"].to_list() for (symbol,), part in left.group_by("symbol", maintain_order=True)}


def days_of(wanted: Wanted) -> pl.DataFrame:
    """One row a symbol and session."""
    frame = pl.DataFrame(
        {"symbol": list(wanted), "session": list(wanted.values())},
        schema={"symbol": pl.String, "session": pl.List(pl.Date)},
    )
    return frame.explode("session").drop_nulls()


def _nothing(strategy: Strategy, refused: pl.DataFrame) -> str:
    reasons = refused.group_by("reason").len().sort("len", descending=True).rows() if len(refused) else []
    why = "; ".join(f"{count} dates: {reason}" for reason, count in reasons) or "no date is scheduled"
    return (
        f"{strategy.name}: the bars must give at least one event, but gave none ({why}). "
        "Bring a longer history or schedule more dates."
    )
