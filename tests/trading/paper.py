"""The toy strategy on a paper account: evenings on which it decides, sessions in which the stand-in gateway fills."""

import datetime as dt
from contextlib import contextmanager

import polars as pl
import season
import sqlalchemy as sa
from gateway.book import ACCOUNT, Book, Listing
from gateway.server import Faults, Gateway, book_of_refs
from season import CLOSE, DAYS

from bq.core import db
from bq.trading import clock, daily, positions
from bq.trading.ibkr import guard
from bq.trading.ibkr.broker import IBKR
from bq.trading.ibkr.wire import Timing, Wire
from bq.trading.orders import Orders
from bq.trading.trader import Trader

NAMESPACE = str(season.NAMESPACE)
OPTIONS = Listing(("20211217",), (90.0, 95.0, 100.0, 105.0, 110.0))
LISTINGS = {**dict.fromkeys(("S1", "S2", "S3"), Listing()), **dict.fromkeys(("FLY", "GNAT", "BEE"), OPTIONS)}
SOON = Timing(answer=10.0, looks=0.0, step=0.0, per_second=0)
QUICK = Timing(connect=0.3, looks=0.0, step=0.0, per_second=0)
SILENT = Timing(connect=10.0, answer=0.1, looks=0.0, step=0.0, per_second=0)
HASTY = Timing(connect=10.0, answer=0.4, looks=0.0, step=0.0, per_second=0)
ALONE = {"tracks": [{"name": "ButterAI", "share": 1.0, "decides": "champion"}]}
OPEN_HOURS = dt.timedelta(hours=6)  # before the close: when the tests' sessions are traded


def price(spec, session):
    """Of a contract, as the toy's desk has it at the session's close."""
    at = season.price(spec.symbol, session)
    return {95.0: at / 10.0 + 4.0, 100.0: 3.0, 105.0: 2.0}[spec.strike] if spec.strike else at


class Paper:
    """An account at the stand-in, and who trades on it. Every run is a connection of its own."""

    def __init__(self, port, settings, *, faults=None, keeps_days=7, **gateway):
        self.settings, self.port, self.desk = settings, port, season.ToyDesk()
        self.book = Book(price, dict(LISTINGS), now=CLOSE[DAYS[0]], session=DAYS[0], keeps_days=keeps_days)
        self.gateway = Gateway(self.book, port, faults=faults or Faults(), **gateway)

    def wire(self, *, host="127.0.0.1", timing=SOON, account=None):
        """A connection, not made yet."""
        return Wire(guard.address(host, self.port), 17, account=account, timing=timing)

    @contextmanager
    def trader(self, session, *, timing=SOON):
        """Who trades after a session, while he is connected."""
        wire, desk = self.wire(timing=timing), self.desk
        try:
            broker = IBKR(wire, desk, calendar="XNYS", steps=3, now=lambda: self.book.now)
            at = clock.at(self.book.now, calendar="XNYS", newest=session)
            orders = Orders(broker.account, NAMESPACE)
            yield Trader(season.STRATEGY, self.settings, desk, broker, at, orders)
        finally:
            wire.close()

    def run(self, session, symbols=(), *, timing=SOON, source="modelled"):
        """One run of trading on a scan of these symbols, made at the close of a session."""
        scan = season.scanned(session, symbols) if symbols else None
        events = season.events(session, symbols).with_columns(source=pl.lit(source)) if symbols else None
        with self.trader(session, timing=timing) as trader:
            return daily.trade(trader, scan, lambda: events)

    def play(self, session, *, timing=SOON, traded=True):
        """The session after: it opens, orders are worked by a run, it closes."""
        self.book.open_session(session, CLOSE[session] - OPEN_HOURS)
        if traded:
            self.run(DAYS[DAYS.index(session) - 1], timing=timing)
        self.book.close_session(CLOSE[session])

    def check(self):
        """Both books are the same: contracts, money to the cent, and what every order did."""
        assert positions.contracts(ACCOUNT) == self.book.held
        made = sum(one.cash - one.commissions for one in positions.accounts(ACCOUNT, NAMESPACE))
        assert self.book.cash == self.book.opened_with + made
        assert ledger_of_refs() == book_of_refs(self.book)


def ledger_of_refs():
    """What each order moved by the ledger."""
    query = sa.text(
        "select order_ref, contract, sum(quantity) from executions as one where not whole and revision = (select "
        "max(revision) from executions as other where other.base = one.base) and perm_id > 0 group by 1, 2"
    )
    found = {}
    with db.engine().connect() as connection:
        for ref, contract, quantity in connection.execute(query):
            found.setdefault(ref, {})[contract] = quantity
    return found
