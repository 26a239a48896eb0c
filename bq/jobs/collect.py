"""`make collect`: build or bring up to date the events of a strategy, and count them; nothing is trained."""

import datetime as dt

import polars as pl

from bq import market
from bq.jobs import protocol
from bq.jobs.request import Request
from bq.learning.splits import MIN_TRAINING_EVENTS
from bq.strategies import store
from bq.strategies.contract import NOTICES, weakest_source
from bq.strategies.store import Collection
from bq.workbench import plots, screen

ROWS = 30  # symbols shown


def main(request: Request) -> None:
    """Collect. What is stored and still holds stays; every other event is replaced by its like, under the same id."""
    strategy, settings = request.strategy, request.settings
    with protocol.lock(settings.shelf):
        data = market.load(settings.market)
        collection = store.collect(strategy, settings, data)
    screen.show(describe(collection, settings.shelf, through=data.bars["session"].max()))


def describe(collection: Collection, shelf: str, *, through: dt.date) -> str:
    """How many events there are, since when, how many have matured and were taken, in all and of each symbol."""
    events = collection.events
    table = by_symbol(events, through=through)
    ripe, taken = table["matured"].sum(), table["taken"].sum()
    first, last = events["session"].min(), events["session"].max()
    source = weakest_source(events)
    enough = (
        f"enough to train ({MIN_TRAINING_EVENTS} before each fold)"
        if ripe >= MIN_TRAINING_EVENTS
        else f"Insufficient samples: {ripe} < {MIN_TRAINING_EVENTS}: bring more history or more symbols"
    )
    lines = [
        f"{screen.BOLD}{shelf} · {screen.count(len(events), 'event')} of {screen.count(len(table), 'symbol')} · "
        f"{first} to {last} · {source}{screen.PLAIN}",
        *([f"{screen.RED}{NOTICES[source]}{screen.PLAIN}"] if source in NOTICES else []),
        f"built now   {collection.built:,}; the other {max(len(events) - collection.built, 0):,} were stored and hold",
        f"matured     {ripe:,} by {through}; {enough}",
        f"taken       {taken:,}, and {len(events) - taken:,} shadow events, followed all the same",
        f"refused     {screen.count(len(collection.refused), 'date')} gave no event",
        "",
        repr(plots.table(table.head(ROWS))),
    ]
    more = len(table) - ROWS
    return "\n".join([*lines, *([f"and {screen.count(more, 'more symbol')}"] if more > 0 else [])])


def by_symbol(events: pl.DataFrame, *, through: dt.date) -> pl.DataFrame:
    """symbol, events, first, last, matured, taken, shadow; those with the most events first.

    through : the last session with bars; what was due by its end has matured.
    """
    table = events.group_by("symbol").agg(
        events=pl.len(),
        first=pl.col("session").min(),
        last=pl.col("session").max(),
        matured=((pl.col("t1_due").dt.date() <= through) & pl.col("outcome").is_not_null()).sum(),
        taken=pl.col("taken").sum(),
        shadow=(~pl.col("taken")).sum(),
    )
    return table.sort("events", "symbol", descending=[True, False])
