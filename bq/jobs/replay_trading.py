"""The trading of a replay: what it decides goes through gates, ledger and dry-run broker of its own world, day by day.

On the account of the tracks a symbol is one track's, as in `make trade-paper`. Beside it each track has a shadow book
(`bq.trading.shadow`): the whole capital, every opportunity. Shadow books of two tracks are paired session by session.
"""

import datetime as dt
import functools
import time
from collections import Counter
from typing import NamedTuple

import polars as pl

from bq.core.settings import Settings, Track
from bq.jobs.brokers import dry_run_account
from bq.jobs.replay_history import History
from bq.jobs.trade_paper import desk_of, scanned
from bq.market import announced
from bq.market.calendars import sessions
from bq.monitoring.deciding import Decided
from bq.trading import clock, daily, journal, shadow
from bq.trading.dry_run import DryRun
from bq.trading.entering import Scanned
from bq.trading.journal import Journal
from bq.trading.orders import Orders
from bq.trading.trader import Trader

BOOKS = pl.Schema([("track", pl.String), *shadow.DAILY.items()])


class Traded(NamedTuple):
    """What the tracks of a replay did. Money in currency.

    tracks : a row of `BOOKS` for each track and session: pnl of the session, on the track's fixed share of the capital;
    equity, that share and what was made so far; n_open, positions held at the close. shadows : the same of the shadow
    books, on the whole capital. closed : of these, each position that was closed. reconciled : sessions at whose close
    the account agreed with the ledger. seconds : that all of it took.
    """

    tracks: pl.DataFrame
    shadows: pl.DataFrame
    closed: pl.DataFrame
    journal: Journal
    days: tuple[dt.date, ...]
    reconciled: int
    gone: int  # option legs that were assigned, exercised or expired
    seconds: float


class Books:
    """The tracks' account of a replay, and the shadow book of each track, traded at the close of each session."""

    def __init__(self, history: History) -> None:
        strategy, settings = history.strategy, history.settings
        self._closes, self._newest = history.closes, max(history.hashes)
        self._tracks = settings.trading.tracks
        desk = desk_of(strategy, settings, history.market)
        broker = DryRun(
            dry_run_account(settings), desk, sessions(history.market.calendar), trading=settings.trading, lasting=False
        )
        orders = Orders(broker.account, str(settings.namespace))
        dates, now = announced.load(), self._at(history.market.calendar, self._newest)
        self._trader = Trader(strategy, settings, desk, broker, now, orders, dates)
        self._shadows = {track.name: shadow.Shadow(desk, settings.trading, dates) for track in self._tracks}
        self._made: list[daily.Day] = []
        self._held: Counter[tuple[str, dt.date]] = Counter()
        self._seconds = 0.0

    def _at(self, calendar: str, session: dt.date) -> clock.Clock:
        now = self._closes[session] + dt.timedelta(minutes=1)
        return clock.at(now, calendar=calendar, newest=self._newest)

    def day(self, session: dt.date, decided: Decided | None) -> None:
        """Trade a session, after what was decided at its close."""
        begun = time.monotonic()
        trader = self._trader._replace(clock=self._at(self._trader.settings.market.calendar, session))
        scan = None if decided is None else scanned(decided.scan_id, session, counts=not decided.late)
        events = functools.partial(_events, decided)
        made = daily.trade(trader, scan, events)
        self._made.append(made)
        self._held.update((one.held.owner.track, session) for one in made.held)
        for track in self._tracks:
            self._shadow(trader, track, scan, decided)
        self._seconds += time.monotonic() - begun

    def _shadow(self, trader: Trader, track: Track, scan: Scanned | None, decided: Decided | None) -> None:
        asked = None
        if scan is not None and scan.counts:
            events = functools.partial(_events, decided)
            asked = shadow.wanted(trader.desk, trader.strategy, trader.settings, track, scan, events)
        self._shadows[track.name].day(trader.clock.session, trader.clock.next_session, asked)

    def made(self) -> Traded:
        """What came of it."""
        settings = self._trader.settings
        found = journal.read(self._trader.broker.account, self._trader.namespace)
        return Traded(
            pl.concat([self._of(track, found, settings) for track in self._tracks]),
            *shadow.together(self._shadows),
            found,
            tuple(one.session for one in self._made),
            sum(one.reconciled.holds for one in self._made),
            sum(len(one.gone) for one in self._made),
            self._seconds,
        )

    def _of(self, track: Track, found: Journal, settings: Settings) -> pl.DataFrame:
        """A track's row for each session."""
        days = pl.DataFrame({"session": [one.session for one in self._made]}, schema={"session": pl.Date})
        running = found.running.filter(track=track.name)
        total = days.join(running, on="session", how="left", maintain_order="left")["pnl"].forward_fill().fill_null(0.0)
        return days.select(
            pl.lit(track.name).alias("track"),
            "session",
            (total - total.shift(1, fill_value=0.0)).alias("pnl"),
            (track.share * settings.trading.capital + total).alias("equity"),
            pl.Series("n_open", [self._held[track.name, one.session] for one in self._made], pl.Int64),
        ).cast(BOOKS)


def _events(decided: Decided | None) -> pl.DataFrame:
    assert decided is not None  # asked for with a scan alone
    return decided.events
