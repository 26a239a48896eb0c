"""`make collect`: build or bring up to date the events of a strategy, and count them; nothing is trained."""

import polars as pl

from bq import market
from bq.core.settings import Settings
from bq.jobs.request import Request
from bq.jobs.run import protocol
from bq.learning.splits import MIN_TRAINING_EVENTS
from bq.strategies import store
from bq.strategies.contract import Counter, Strategy
from bq.strategies.events import NOTICES, matured, weakest_source
from bq.strategies.store import Collection
from bq.workbench import plots, screen
from bq.workbench.phrases import counted

ROWS = 30  # symbols shown
LINE = " " * 14  # before what belongs to the line above


def main(request: Request) -> None:
    """Collect. What is stored and still valid stays; any other event is built again under the same id."""
    strategy, settings = request.strategy, request.settings
    with protocol.lock(settings.namespace):
        data = market.load(settings.market)
        collection = store.collect(strategy, settings, data)
    screen.show(describe(collection, strategy, settings))


def describe(collection: Collection, strategy: Strategy, settings: Settings) -> str:
    """How many events there are, since when, how many have matured and were taken, in all and of each symbol.

    And why dates gave no event, and what the strategy itself counts and warns of.
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
        f"built now   {collection.built:,}; {max(len(events) - collection.built, 0):,} stored ones are still valid",
        f"matured     {known:,}{f' by {ended:%Y-%m-%d}' if ended else ''}; {enough}",
        f"taken       {taken:,}, and {len(events) - taken:,} shadow events, followed all the same",
        f"refused     {counted(len(collection.refused), 'date')} gave no event",
        *_reasons(collection.refused),
        *(line for counter in strategy.views.counters(events) for line in _counter(counter)),
        *(f"note        {notice}" for notice in strategy.views.notices(events, settings)),
        "",
        repr(plots.table(table.head(ROWS))),
    ]
    more = len(table) - ROWS
    return "\n".join([*lines, *([f"and {counted(more, 'more symbol')}"] if more > 0 else [])])


def _reasons(refused: pl.DataFrame) -> list[str]:
    """A line for each reason, the most frequent first."""
    counts = refused.group_by("reason").len().sort("len", "reason", descending=[True, False])
    return [f"{LINE}{number:,} {reason}" for reason, number in counts.rows()]


def _counter(counter: Counter) -> list[str]:
    share = f" ({counter.number / counter.of:.0%})" if counter.of else ""
    head = f"counted     {counter.number:,} of {counter.of:,}{share}: {counter.what}"
    return [head, *(f"{LINE}{why}" for why in counter.why)]


def by_symbol(events: pl.DataFrame) -> pl.DataFrame:
    """symbol, events, first, last, matured, taken, shadow; those with the most events first."""
    ids = matured(events)["event_id"].implode()
    table = events.group_by("symbol").agg(
        events=pl.len(),
        first=pl.col("session").min(),
        last=pl.col("session").max(),
        matured=pl.col("event_id").is_in(ids).sum(),
        taken=pl.col("taken").sum(),
        shadow=(~pl.col("taken")).sum(),
    )
    return table.sort("events", "symbol", descending=[True, False])
