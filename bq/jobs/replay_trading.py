"""The trading of a replay: what it decides goes through gates, ledger and dry-run broker of its own world, day by day.

Two kinds of accounts are traded. On the one of the tracks a symbol is one track's, as in `make trade-paper`. Beside it
each track has a shadow book: an account on which it alone trades, with the whole capital and every opportunity, at a
broker that never fails. Shadow books of two tracks are paired session by session.
"""

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from bq.core.settings import DryRun as Faults
from bq.core.settings import Settings, Track
from bq.jobs.replay_history import History
from bq.jobs.trade_paper import account_of, desk_of, scanned
from bq.market.calendars import sessions
from bq.monitoring.deciding import Decided
from bq.strategies.desk import Desk
from bq.trading import clock, curve, daily
from bq.trading.dry_run import DryRun
from bq.trading.entering import Scanned
from bq.trading.trader import Trader

DAILY = pl.Schema({"track": pl.String, "session": pl.Date, "pnl": pl.Float64, "equity": pl.Float64, "n_open": pl.Int64})
FAULTLESS = Faults(partial_fills=0.0, rejects=0.0, lost_answers=0.0)


class Daily(NamedTuple):
    """What the tracks of an account made: rows of `DAILY`, and the sessions on which it did not agree with the ledger.

    pnl : of the session, in currency. equity : the track's share of the capital, and what it made so far. n_open :
    positions held at the close.
    """

    rows: pl.DataFrame
    unreconciled: tuple[dt.date, ...]


@dataclass
class Traded:
    """The accounts of a replay. refusals : of the tracks' account, by track and reason."""

    tracks: Daily
    shadows: Daily
    seconds: float = 0.0


class Book:
    """One account, traded at the close of each session."""

    def __init__(self, history: History, desk: Desk, settings: Settings, account: str) -> None:
        broker = DryRun(account, desk, sessions(history.market.calendar), trading=settings.trading, lasting=False)
        self._history, self._newest = history, max(history.hashes)
        self._trader = Trader(history.strategy, settings, desk, broker, self._at(min(history.hashes)))
        self._held: dict[tuple[str, dt.date], int] = {}
        self._days: list[dt.date] = []
        self._unreconciled: list[dt.date] = []

    def _at(self, session: dt.date) -> clock.Clock:
        return clock.at(
            self._history.closes[session] + dt.timedelta(minutes=1),
            calendar=self._history.market.calendar,
            newest=self._newest,
        )

    def day(self, session: dt.date, scan: Scanned | None, events: pl.DataFrame | None) -> None:
        """Trade at the close of a session."""
        made = daily.trade(self._trader._replace(clock=self._at(session)), scan, lambda: _given(events))
        self._days.append(session)
        if not made.reconciled.holds:
            self._unreconciled.append(session)
        for track, count in Counter(one.held.owner.track for one in made.held).items():
            self._held[track, session] = count

    def made(self) -> Daily:
        """What came of it, a row for each track and session."""
        trading = self._trader.settings.trading
        running = curve.running(self._trader.broker.account, self._trader.namespace)
        parts = [self._of(track, running.filter(track=track.name), trading.capital) for track in trading.tracks]
        return Daily(pl.concat(parts), tuple(self._unreconciled))

    def _of(self, track: Track, running: pl.DataFrame, capital: float) -> pl.DataFrame:
        days = pl.DataFrame({"session": self._days}, schema={"session": pl.Date})
        total = days.join(running, on="session", how="left", maintain_order="left")["pnl"].forward_fill().fill_null(0.0)
        return days.select(
            pl.lit(track.name).alias("track"),
            "session",
            total.diff().fill_null(total.first()).alias("pnl"),
            (track.share * capital + total).alias("equity"),
            pl.Series("n_open", [self._held.get((track.name, day), 0) for day in self._days], pl.Int64),
        ).cast(DAILY)


def _given(events: pl.DataFrame | None) -> pl.DataFrame:
    assert events is not None
    return events


class Books:
    """The tracks' account of a replay, and the shadow book of each track."""

    def __init__(self, history: History) -> None:
        strategy, settings = history.strategy, history.settings
        desk = desk_of(strategy, settings, history.market)
        self._tracks = Book(history, desk, settings, account_of(settings))
        self._shadows = [
            Book(history, desk, alone(settings, track), f"shadow.{track.name}.{settings.namespace}")
            for track in settings.trading.tracks
        ]

    def day(self, session: dt.date, decided: Decided | None) -> None:
        """Trade a session, after what was decided at its close."""
        scan = None if decided is None else scanned(decided.scan_id, session, counts=not decided.late)
        for book in (self._tracks, *self._shadows):
            book.day(session, scan, decided and decided.events)

    def made(self) -> Traded:
        """What came of it."""
        shadows = [book.made() for book in self._shadows]
        days = {day for one in shadows for day in one.unreconciled}
        return Traded(self._tracks.made(), Daily(pl.concat([one.rows for one in shadows]), tuple(sorted(days))))


def alone(settings: Settings, track: Track) -> Settings:
    """The settings of a shadow book: one track, the whole capital, a broker that never fails."""
    whole = track.model_copy(update={"share": 1.0})
    trading = settings.trading.model_copy(update={"tracks": [whole], "dry_run": FAULTLESS})
    return settings.model_copy(update={"trading": trading})
