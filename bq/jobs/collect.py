"""`make collect`: build or bring up to date the events of a strategy, and count them; nothing is trained."""

import polars as pl

from bq.core.numerals import percent
from bq.core.scalars import count
from bq.core.settings import Settings
from bq.jobs import labelled
from bq.jobs.request import Request
from bq.jobs.run import protocol
from bq.learning.splits import MIN_TRAINING_EVENTS
from bq.market import MarketData
from bq.strategies import store
from bq.strategies.contract import Counter, Strategy
from bq.strategies.events import NOTICES, matured, weakest_source
from bq.strategies.store import Collection
from bq.workbench import plots, screen
from bq.workbench.phrases import counted

ROWS = 30  # symbols shown
LINE = " " * 14  # before what belongs to the line above


def main(request: Request) -> None:
    """Collect. What is stored and still valid stays; any other event is built again under the same id.

    With FROM_FILE a labelled table is read first; FORCE=1 then forgets what was collected before.
    """
    strategy, settings = request.strategy, request.settings
    with protocol.lock(settings.namespace):
        if request.from_file is not None:
            screen.show(labelled.read_and_keep(request, request.from_file))
        data = store.market_data(settings)
        collection = store.collect(strategy, settings, data)
    screen.show(describe(collection, strategy, settings, data if settings.market.table else None))


def describe(collection: Collection, strategy: Strategy, settings: Settings, tables: MarketData | None = None) -> str:
    """How many events there are, since when, how many have matured and were taken, in all and of each symbol.

    And why dates gave no event, and what the strategy itself counts and warns of. tables : of events that come from
    labelled tables, what became of their rows.
    """
    events = collection.events
    table = by_symbol(events)
    known, taken = table["matured"].sum(), table["taken"].sum()
    first, last = events["session"].min(), events["session"].max()
    source, ended = weakest_source(events), events["t1"].max()
    enough = (
        f"enough to train ({MIN_TRAINING_EVENTS} before each fold)"
        if known >= MIN_TRAINING_EVENTS
        else f"Insufficient samples: {known} < {MIN_TRAINING_EVENTS}: bring more history or more symbols"
    )
    lines = [
        f"{screen.BOLD}{settings.namespace} · {counted(len(events), 'event')} of {counted(len(table), 'symbol')} · "
        f"{first} to {last} · {source}{screen.PLAIN}",
        *([f"{screen.RED}{NOTICES[source]}{screen.PLAIN}"] if source in NOTICES else []),
        _of_rows(tables) if tables else _of_bars(collection),
        f"matured     {known:,}{f' by {ended:%Y-%m-%d}' if ended else ''}; {enough}",
        f"taken       {taken:,}, and {len(events) - taken:,} shadow events: not traded, but followed",
        *([] if tables else [f"refused     {counted(len(collection.refused), 'date')} gave no event"]),
        *_reasons(collection.refused),
        *(line for counter in strategy.views.counters(events) for line in _counter(counter)),
        *(f"note        {notice}" for notice in strategy.views.notices(events, settings)),
        "",
        repr(plots.table(table.head(ROWS))),
    ]
    more = len(table) - ROWS
    return "\n".join([*lines, *([f"and {counted(more, 'more symbol')}"] if more > 0 else [])])


def _of_bars(collection: Collection) -> str:
    stored = max(len(collection.events) - collection.built, 0)
    return f"built now   {collection.built:,}; {stored:,} stored ones are still valid"


def _of_rows(tables: MarketData) -> str:
    names = {
        "kept": "kept",
        "quarantined": "refused",
        "copies": "copies or replaced by a later file",
        "outside": "outside the dates",
        "not_asked": "of other symbols",
    }
    parts = [f"{count(tables.counts[name].sum()):,} {text}" for name, text in names.items()]
    files = tables.counts["file"].n_unique()
    return f"rows        {count(tables.counts['read'].sum()):,} of {counted(files, 'file')}: {', '.join(parts)}"


def _reasons(refused: pl.DataFrame) -> list[str]:
    """A line for each reason, the most frequent first."""
    counts = refused.group_by("reason").len().sort("len", "reason", descending=[True, False])
    return [f"{LINE}{number:,} {reason}" for reason, number in counts.rows()]


def _counter(counter: Counter) -> list[str]:
    share = f" ({percent(counter.number / counter.of)})" if counter.of else ""
    head = f"counted     {counter.number:,} of {counter.of:,}{share}: {counter.what}"
    return [head, *(f"{LINE}{why}" for why in counter.why)]


def by_symbol(events: pl.DataFrame) -> pl.DataFrame:
    """symbol, events, first, last, matured, taken, shadow; those with the most events first."""
    known = matured(events).group_by("symbol").agg(matured=pl.len())
    table = events.group_by("symbol").agg(
        events=pl.len(),
        first=pl.col("session").min(),
        last=pl.col("session").max(),
        taken=pl.col("taken").sum(),
        shadow=(~pl.col("taken")).sum(),
    )
    found = table.join(known, on="symbol", how="left").with_columns(pl.col("matured").fill_null(0))
    order = ("symbol", "events", "first", "last", "matured", "taken", "shadow")
    return found.select(order).sort("events", "symbol", descending=[True, False])
