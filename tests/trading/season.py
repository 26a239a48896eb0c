"""A toy strategy on a toy market, traded day by day: one symbol's price is known, orders are filled by arithmetic."""

import datetime as dt
import math
from types import SimpleNamespace

import polars as pl

from bq.core.namespace import Namespace
from bq.core.settings import DryRun as Faults
from bq.core.settings import Trading
from bq.market.calendars import sessions
from bq.monitoring import records
from bq.strategies.desk import (
    Entry,
    Exit,
    Fill,
    Kind,
    Leg,
    Levels,
    Limits,
    Mark,
    PositionByPosition,
    Quote,
    Right,
    Size,
)
from bq.strategies.task import Task
from bq.trading import clock, daily
from bq.trading.dry_run import DryRun
from bq.trading.entering import Scanned
from bq.trading.orders import Orders
from bq.trading.trader import Trader

CALENDAR = sessions("XNYS").filter(pl.col("session") >= dt.date(2019, 1, 2)).head(400)
DAYS = CALENDAR["session"].to_list()
CLOSE = dict(CALENDAR.rows())
NONE = Faults(partial_fills=0.0, rejects=0.0, lost_answers=0.0)
HALF = NONE.model_copy(update={"partial_fills": 1.0})  # entries are filled by half
HELD_SESSIONS = 4
SPOT = {}  # (session, whether at its open): price of the underlying of options; else 98
NAMESPACE = Namespace("toy", simulated=True)


def price(symbol: str, session: dt.date) -> float:
    """The close of a symbol."""
    t = DAYS.index(session)
    return 20.0 + sum(map(ord, symbol)) % 7 + 2.0 * math.sin(0.3 * t + len(symbol))


class ToyDesk(PositionByPosition):
    """Symbols that begin with S are shares with a stop, others combinations of three options."""

    keeps = ("session", "symbol", "source")

    def legs(self, event):
        symbol, expiry = event["symbol"], dt.date(2021, 12, 17)
        if symbol.startswith("S"):
            return (Leg(symbol),)
        return tuple(
            Leg(symbol, ratio, symbol, expiry, strike, Right.CALL, 100)
            for ratio, strike in ((1, 95.0), (-2, 100.0), (1, 105.0))
        )

    def entry(self, event):
        return Entry(Kind.OPEN, 1.5) if event["symbol"].startswith("S") else Entry(Kind.LIMIT)

    def size(self, event, equity, risk_share, session):
        return Size(4, 100.0)

    def quote(self, event, session):
        if session not in CLOSE:
            return None
        mid = price(event["symbol"], session)
        if event["symbol"].startswith("S"):
            return Quote(mid, 0.0, (mid,), True)
        mid /= 10.0
        return Quote(mid, 0.2, (mid + 4.0, 3.0, 2.0), False)

    def spot(self, event, session, *, at_open=False):
        return SPOT.get((session, at_open), 98.0)

    def limits(self, event, quote, *, buy):
        return Limits(quote.mid, quote.mid + (0.2 if buy else -0.2))

    def mark(self, position, session):
        quote = self.quote(position.event, session)
        return quote and Mark(quote.mid, quote.quoted)

    def exit(self, position, mark, session):
        held = DAYS.index(session) - DAYS.index(position.entered)
        kind = Kind.OPEN if position.event["symbol"].startswith("S") else Kind.LIMIT
        return Exit("horizon", kind) if held >= HELD_SESSIONS else None

    def levels(self, position, session):
        return Levels()

    def fill(self, event, asked, session):
        quote = self.quote(event, session)
        if quote is None:
            return None
        if asked.kind == Kind.STOP:
            return Fill((asked.stop,), 1.0, asked.stop) if quote.mid <= asked.stop else None
        if len(quote.legs) == 1:
            return Fill(quote.legs, 1.0, quote.mid)
        extra = 0.2 if asked.quantity > 0 else -0.2
        return Fill((quote.legs[0] + extra, *quote.legs[1:]), 1.25, quote.mid)


def settings_of(**trading):
    """Settings as far as trading reads them; seen through `SimpleNamespace`, as no file of a strategy has them."""
    return SimpleNamespace(
        namespace=NAMESPACE,
        trading=Trading(**trading),
        policy=SimpleNamespace(k=None),
        market=SimpleNamespace(calendar="XNYS", is_simulated=True),
    )


STRATEGY = SimpleNamespace(name="toy", task=lambda settings: Task(("no", "yes"), (0.0,), outcome="x", trade_score=50.0))


def trader_at(
    session: dt.date, settings, *, faults: Faults = NONE, now: dt.datetime | None = None, desk=None
) -> Trader:
    """Who trades at the close of a session."""
    desk = desk or ToyDesk()
    account = f"dry-run.{NAMESPACE}"
    broker = DryRun(account, desk, CALENDAR, trading=settings.trading.model_copy(update={"dry_run": faults}))
    at = clock.at(now or CLOSE[session], calendar="XNYS", newest=session)
    return Trader(STRATEGY, settings, desk, broker, at, Orders(account, str(NAMESPACE)))


def scanned(session: dt.date, symbols, *, tier: int = 1, should_trade: bool = True) -> Scanned:
    """A scan of a session, recorded, all of whose decisions are alike."""
    rows = [
        {
            "event_id": event_id(symbol, session),
            "symbol": symbol,
            "session": session,
            "tier": tier,
            "model": "m1" if tier < 3 else "rule score",
            "score": 60.0 - number,
            "should_trade": should_trade,
            "rank": number + 1,
        }
        for number, symbol in enumerate(symbols)
    ]
    frame = pl.DataFrame(rows)
    scan = records.Scan(NAMESPACE, session, CLOSE[session], {}, "da7a", "c0de", "m1", None)
    number = records.enter(scan, frame)
    decisions = frame.with_columns(model_id=pl.when(pl.col("tier") < 3).then("model"), expected=pl.lit(0.1))
    return Scanned(getattr(number, "scan_id", number), session, decisions)


def event_id(symbol: str, session: dt.date) -> str:
    return f"{symbol.lower()}{session:%Y%m%d}".ljust(16, "0")


def events(session: dt.date, symbols) -> pl.DataFrame:
    """The events of a session."""
    return pl.DataFrame(
        [
            {"event_id": event_id(symbol, session), "symbol": symbol, "session": session, "source": "simulated"}
            for symbol in symbols
        ]
    )


def day(session: dt.date, settings, symbols=(), *, tier: int = 1, **broker) -> daily.Day:
    """One day of trading, on a scan of these symbols."""
    scan = scanned(session, symbols, tier=tier) if symbols else None
    return daily.trade(trader_at(session, settings, **broker), scan, lambda: events(session, symbols))
