"""Events of a market as each day saw them, built once for a whole replay."""

import datetime as dt
from dataclasses import replace

import polars as pl

from bq.core import files
from bq.core.scalars import day
from bq.core.settings import Settings
from bq.market import MarketData, prints
from bq.market.calendars import sessions
from bq.market.chains.quotes import content_hash
from bq.strategies import store
from bq.strategies.contract import Strategy
from bq.strategies.events import Built, Wanted
from bq.strategies.store import DAY

KNOWN_LATER = ("t1", "outcome", "label")  # columns of an event that are null while it is open


class History:
    """Events of a market as each day saw them. Built once, which the future does not change (`make audit`)."""

    def __init__(self, strategy: Strategy, settings: Settings, market: MarketData) -> None:
        self.strategy, self.settings, self.market = strategy, settings, market
        self.rows = pl.DataFrame()
        self.done = pl.DataFrame(schema={"symbol": pl.String, "session": pl.Date})  # built, or refused
        known = sessions(market.calendar)
        self.closes = dict(zip(known["session"], known["close_utc"], strict=True))
        self.hashes = _hashes(market)

    def cut(self, last: dt.date) -> MarketData:
        """The market as it was known at the close of a session."""
        through = pl.col("session") <= last
        return replace(
            self.market,
            bars=self.market.bars.filter(through),
            quotes=self.market.quotes.filter(through) if len(self.market.quotes) else self.market.quotes,
            data_hash=self.hashes[last],
        )

    def build(self, wanted: Wanted) -> None:
        """Have the events of these symbols and sessions."""
        missing = store.days_of(wanted).join(self.done, on=DAY, how="anti", maintain_order="left")
        if len(missing):
            self.done = pl.concat([self.done, missing])
            of = dict(missing.group_by("symbol").agg(pl.col("session").sort()).sort("symbol").rows())
            built = self.strategy.table.build(self.market, self.settings, of).events
            self.rows = pl.concat([self.rows, built]) if len(self.rows) else built

    def decided_on(self, first: dt.date) -> dict[dt.date, pl.DataFrame]:
        """The events of every session from `first` on, ready for a decision: nothing is known of how they end."""
        whole = store.finished(self.strategy, self.settings, self.market, Built(self.rows), 0).events
        open_ones = whole.filter(pl.col("session") >= first).with_columns(
            pl.lit(None, whole.schema[name]).alias(name) for name in KNOWN_LATER
        )
        parts = open_ones.sort("session", "symbol").partition_by("session", as_dict=True)
        return {day(session): rows for (session,), rows in parts.items()}

    def trained_on(self, last: dt.date, law: Settings) -> tuple[pl.DataFrame, MarketData]:
        """The events of the schedule that train by these settings, as they were known at the close of a session, and
        the market then.
        """
        market, now = self.cut(last), self.closes[last]
        wanted = self.strategy.table.schedule(market, self.settings)
        self.build(wanted)
        scheduled = store.begun(self.rows.join(store.days_of(wanted), on=DAY, how="semi", maintain_order="left"), law)
        later = pl.col("t1") > now
        known = scheduled.with_columns(
            pl.when(~later).then(name).alias(name) for name in KNOWN_LATER if name in scheduled.columns
        )
        whole = store.finished(self.strategy, self.settings, market, Built(known.sort("t0", "symbol")), 0)
        return whole.events, market


def _hashes(market: MarketData) -> dict[dt.date, str]:
    """For each session a digest of what the market's data were at its close."""
    quotes = {} if market.quotes.is_empty() else market.quotes.partition_by("session", as_dict=True)
    found, so_far = {}, files.digest(market.sectors, 64)
    bars = prints.of_bars(market.bars).sort("session", "symbol")
    for (session,), rows in bars.group_by("session", maintain_order=True):
        quoted = content_hash(quotes[(session,)]) if (session,) in quotes else ""
        so_far = files.digest([so_far, rows["symbol"].to_list(), rows["print"].to_list(), quoted], 64)
        found[day(session)] = so_far
    return found


def every_day(market: MarketData, days: list[dt.date]) -> Wanted:
    """Every symbol and session that has a bar."""
    inside = market.bars.filter(pl.col("session").is_in(days))
    return dict(inside.group_by("symbol").agg(pl.col("session").sort()).sort("symbol").rows())
