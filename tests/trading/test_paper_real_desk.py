"""A strategy of the product, on prices of its own model, traded on a paper account by the command that users call."""

import datetime as dt

import paper
import polars as pl
import pytest
import sqlalchemy as sa
from gateway.book import ACCOUNT, Book, Listing
from gateway.server import Gateway

from bq import market, strategies
from bq.core import db, params, paths
from bq.core.settings import Track
from bq.jobs import brokers, request, trade_paper, traded_books
from bq.market.calendars import sessions
from bq.monitoring import records
from bq.strategies import store
from bq.strategies.desk import Exit, Kind
from bq.trading import clock, daily, gates, ledger, positions
from bq.trading.entering import Scanned
from bq.trading.ibkr import guard
from bq.trading.ibkr.broker import IBKR
from bq.trading.ibkr.wire import Wire
from bq.trading.orders import Orders
from bq.trading.trader import Trader

CLOSE = dict(sessions("XNYS").rows())
DECIDED, FILLED, AFTER = dt.date(2022, 11, 1), dt.date(2022, 11, 2), dt.date(2022, 11, 3)
RULE = [Track(name="ButterBaseline", share=1.0, decides="rule")]


@pytest.fixture(scope="module")
def strategy():
    """Butterflies on the bundled index, and their events of one session."""
    made = strategies.get("butterfly")
    layers = params.read(paths.parameters("butterfly"), made.settings, overrides={"SET": 'market.symbols=["SPX"]'})
    settings = params.validated(layers, made.settings)
    trading = settings.trading.model_copy(update={"tracks": RULE, "risk_per_trade": 0.05, "capital": 2_000_000.0})
    settings = settings.model_copy(update={"trading": trading})
    data = market.load(settings.market)
    return made, settings, data, store.at(made, settings, data, DECIDED)


class Account:
    """A paper account on which the strategy's own pricing fills."""

    def __init__(self, port, strategy):
        self.strategy, self.settings, self.data, self.events = strategy
        self.desk, self.event, self.port = self.strategy.desk(self.data, self.settings), {}, port
        listing = Listing(("20221209", "20221219"), tuple(5.0 * n for n in range(600, 1000)), "SPXW")
        self.book = Book(self.price, {"SPX": listing}, now=CLOSE[DECIDED], session=DECIDED)
        self.gateway = Gateway(self.book, port)

    def price(self, spec, session):
        """Of a leg."""
        quote = self.desk.quote(self.event, session) if self.event else None
        known = zip(self.desk.legs(self.event), quote.legs, strict=True) if quote else ()
        return next((price for leg, price in known if leg.contract == spec.name), None)

    def run(self, session, scan=None):
        """One run, told as users see it."""
        wire = Wire(guard.address("127.0.0.1", self.port), 17, account=None, timing=paper.SOON)
        try:
            broker = IBKR(wire, self.desk, calendar="XNYS", steps=3, now=lambda: self.book.now)
            at = clock.at(self.book.now, calendar="XNYS", newest=session)
            orders = Orders(broker.account, "butterfly")
            trader = Trader(self.strategy, self.settings, self.desk, broker, at, orders)
            return daily.trade(trader, scan, lambda: self.events), brokers.labels(trader)
        finally:
            wire.close()

    def scan(self):
        """Every event of the session, to be traded."""
        rows = self.events.select("event_id", "symbol", "session").with_columns(
            tier=3, model=pl.lit("rule score"), score=pl.lit(90.0), should_trade=True, rank=1
        )
        entered = records.enter(
            records.Scan(self.settings.namespace, DECIDED, CLOSE[DECIDED], {}, "da7a", "c0de", None, None), rows
        )
        decided = rows.with_columns(model_id=pl.lit(None, pl.String), expected=pl.lit(0.1))
        return Scanned(entered.scan_id, DECIDED, decided)


@pytest.fixture
def account(port, strategy):
    """Its account."""
    made = Account(port, strategy)
    yield made
    made.gateway.stop()


def test_a_modelled_combination_is_snapped_sent_filled_reconciled_and_labelled(account):
    made, told = account.run(DECIDED, account.scan())
    assert "MODELLED" in told[-1] and len(made.entered[0].made) == 1
    (order,) = ledger.every(ACCOUNT, "butterfly", newest=5)
    modelled = account.events.row(0, named=True)
    assert modelled["root"] is None and order.event["root"] == "SPXW"
    assert order.event["expiry"] == dt.date(2022, 12, 19) == modelled["expiry"] + dt.timedelta(days=3)
    assert order.event["dte_days"] == modelled["dte_days"] + 3
    assert [leg.contract for leg in order.legs] == [leg.contract for leg in account.desk.legs(order.event)]
    account.event = order.event
    account.book.open_session(FILLED, CLOSE[FILLED] - paper.OPEN_HOURS)
    account.run(DECIDED)
    account.book.close_session(CLOSE[FILLED])
    made, _ = account.run(FILLED)
    units = order.order.quantity
    assert made.reconciled.holds and [one.held.units for one in made.held] == [units] and units > 0
    assert sorted(account.book.held.values()) == [-2 * units, units, units]
    assert made.held[0].mark is not None and not made.held[0].mark.quoted
    (total,) = positions.accounts(ACCOUNT, "butterfly")
    assert account.book.cash == account.book.opened_with + total.cash - total.commissions


def test_on_bars_of_a_session_long_over_nothing_is_closed(account, monkeypatch):
    account.run(DECIDED, account.scan())
    account.event = ledger.every(ACCOUNT, "butterfly", newest=1)[0].event
    account.book.open_session(FILLED, CLOSE[FILLED] - paper.OPEN_HOURS)
    account.book.close_session(CLOSE[FILLED])
    monkeypatch.setattr(type(account.desk), "exit", lambda *of: Exit("horizon", Kind.LIMIT))
    account.book.now = CLOSE[dt.date(2022, 11, 10)]
    made, _ = account.run(FILLED)
    assert made.left == () and account.gateway.ordered == 1
    why = [row.refusal for row in refusals()]
    assert why == [gates.Refusal.TOO_LATE]


def refusals():
    """What was refused."""
    with db.engine().connect() as connection:
        return connection.execute(sa.select(ledger.intents).where(ledger.intents.c.refusal.is_not(None))).all()


def test_the_command_connects_says_where_and_shows_the_account(account, monkeypatch, capsys):
    for name, value in (("BROKER", "ibkr"), ("SYMBOLS", "SPX"), ("SET", f"trading.ibkr.port={account.port}")):
        monkeypatch.setenv(name, value)
    asked = request.read("trade-paper")
    trade_paper.main(asked)
    told = capsys.readouterr().out
    assert "DU1234567 · paper account · server version 176 by ib_insync" in told and "0 positions" in told
    traded_books.show_pnl(asked)
    assert "nothing was traded yet" in capsys.readouterr().out
    assert account.gateway.ordered == 0
