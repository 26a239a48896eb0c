"""`make collect`: build or bring up to date the events of a strategy, and count them; nothing is trained."""

import polars as pl

from bq import market
from bq.core.namespace import Namespace
from bq.jobs.request import Request
from bq.jobs.run import protocol
from bq.learning.splits import MIN_TRAINING_EVENTS
from bq.strategies import store
from bq.strategies.events import NOTICES, matured, weakest_source
from bq.strategies.store import Collection
from bq.workbench import plots, screen
from bq.workbench.phrases import counted

ROWS = 30  # symbols shown


def main(request: Request) -> None:
    """Collect. What is stored and still valid stays; any other event is built again under the same id."""
    strategy, settings = request.strategy, request.settings
    with protocol.lock(settings.namespace):
        data = market.load(settings.market)
        collection = store.collect(strategy, settings, data)
    screen.show(describe(collection, settings.namespace))


def describe(collection: Collection, namespace: Namespace) -> str:
    """How many events there are, since when, how many have matured and were taken, in all and of each symbol."""
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
        f"{screen.BOLD}{namespace} · {counted(len(events), 'event')} of {counted(len(table), 'symbol')} · "
        f"{first} to {last} · {source}{screen.PLAIN}",
        *([f"{screen.RED}{NOTICES[source]}{screen.PLAIN}"] if source in NOTICES else []),
        f"built now   {collection.built:,}; {max(len(events) - collection.built, 0):,} stored ones are still valid",
        f"matured     {known:,}{f' by {ended:%Y-%m-%d}' if ended else ''}; {enough}",
        f"taken       {taken:,}, and {len(events) - taken:,} shadow events, followed all the same",
        f"refused     {counted(len(collection.refused), 'date')} gave no event",
        "",
        repr(plots.table(table.head(ROWS))),
    ]
    more = len(table) - ROWS
    return "\n".join([*lines, *([f"and {counted(more, 'more symbol')}"] if more > 0 else [])])


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
