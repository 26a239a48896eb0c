"""`make trade-paper`: what is held and decided becomes orders, at the dry-run broker or on a paper account."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
import sqlalchemy as sa
from filelock import FileLock, Timeout

from bq import market
from bq.core import db, paths
from bq.core.errors import BadParameters, Locked
from bq.core.scalars import day
from bq.core.settings import Settings
from bq.jobs import brokers, incidents, traded, trading_shown
from bq.jobs.brokers import account_of
from bq.jobs.request import Request
from bq.market import MarketData, announced
from bq.market.calendars import sessions
from bq.monitoring import outcomes
from bq.monitoring.records import decisions, scans
from bq.serving import learnt
from bq.strategies import store
from bq.strategies.contract import Strategy
from bq.strategies.desk import Desk
from bq.trading import clock, daily
from bq.trading.broker import Broker
from bq.trading.dry_run import DryRun
from bq.trading.entering import Scanned
from bq.trading.orders import Orders
from bq.trading.trader import Trader
from bq.workbench import screen


def main(request: Request) -> None:
    """Trade one day and say what was done."""
    strategy, settings = request.strategy, request.settings
    data = market.load(settings.market)
    with trading(strategy, settings, data) as trader:
        made = daily.trade(
            trader,
            newest_scan(settings),
            lambda: events_of(trader, data),
        )
        incidents.alert(trader, made)
        told = [*brokers.labels(trader), traded.summary(made, trader)]
        if trading_shown.due(trader, holds=bool(made.held)):
            from bq.jobs import risk_page  # late: where nothing is new there is no wait for them
            from bq.jobs.run import publish

            told.append(f"page        {screen.shown(risk_page.write(trader))}")
            publish.write_index()
    screen.show("\n".join(told))


def events_of(trader: Trader, data: MarketData) -> pl.DataFrame:
    """The events of the clock's session; with their learnt score where a track decides by it."""
    strategy, settings = trader.strategy, trader.settings
    events = store.at(strategy, settings, data, trader.clock.session)
    if not any(track.weights == "learnt" for track in settings.trading.tracks):
        return events
    return learnt.attached(events, data, strategy, settings)


@contextmanager
def trading(strategy: Strategy, settings: Settings, data: MarketData) -> Iterator[Trader]:
    """Who trades, at the broker that is asked for, alone on its account."""
    if brokers.asked() == brokers.Choice.DRY_RUN:
        with alone(account_of(settings)):
            yield trader_of(strategy, settings, data, now=now(settings, data))
        return
    desk = desk_of(strategy, settings, data)
    with brokers.connected(settings, desk, data.calendar) as broker, alone(broker.account):
        yield _trader(strategy, settings, data, desk=desk, broker=broker, now=dt.datetime.now(dt.UTC))


@contextmanager
def alone(account: str) -> Iterator[None]:
    """Trade an account in one process at a time; a training of the namespace keeps no one from it.

    Raises Locked where another one does; the lock is released when a process dies.
    """
    path = paths.home() / "data" / f".{account}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout:
        raise Locked(
            f"{account}: one run trades at a time, but another holds {path}. Nothing was changed; wait for it to end."
        ) from None


def now(settings: Settings, data: MarketData) -> dt.datetime:
    """The time; on a simulated market the close of its newest session, as it lies in no present."""
    if not settings.market.is_simulated:
        return dt.datetime.now(dt.UTC)
    known, newest = sessions(data.calendar), day(data.bars["session"].max())
    return known.row(by_predicate=pl.col("session") == newest, named=True)["close_utc"]


def desk_of(strategy: Strategy, settings: Settings, data: MarketData) -> Desk:
    """The strategy's desk. Raises BadParameters where its decisions cannot be traded."""
    if strategy.desk is None:
        raise BadParameters(f"STRATEGY must be one that can be traded, but {strategy.name} has no desk.")
    return strategy.desk(data, settings)


def trader_of(strategy: Strategy, settings: Settings, data: MarketData, *, now: dt.datetime) -> Trader:
    """Who trades the decisions of these settings, at a time; on a paper account it is not connected yet."""
    desk, account = desk_of(strategy, settings, data), account_of(settings)
    if brokers.asked() == brokers.Choice.IBKR:
        broker: Broker = brokers.ibkr(settings, desk, data.calendar, account=account)
    else:
        broker = DryRun(account, desk, sessions(data.calendar), trading=settings.trading)
    return _trader(strategy, settings, data, desk=desk, broker=broker, now=now)


def _trader(
    strategy: Strategy, settings: Settings, data: MarketData, *, desk: Desk, broker: Broker, now: dt.datetime
) -> Trader:
    at = clock.at(now, calendar=data.calendar, newest=day(data.bars["session"].max()))
    orders = Orders(broker.account, str(settings.namespace))
    return Trader(strategy, settings, desk, broker, at, orders, announced.load())


def newest_scan(settings: Settings) -> Scanned | None:
    """The scan of the newest session that any is of: the one that counts, else the newest; None where there is none.

    On a simulated market, which lies in no present, the newest counts.
    """
    own = scans.c.namespace == str(settings.namespace)
    newest = sa.select(scans.c.scan_id, scans.c.session).where(own).order_by(scans.c.scan_id.desc()).limit(1)
    with db.engine().connect() as connection:
        found = connection.execute(newest).first()
        if found is None:
            return None
        counting = outcomes.first_counting(settings.namespace).where(scans.c.session == found.session)
        counted = connection.execute(counting).scalar()
        scan_id = found.scan_id if counted is None or settings.market.is_simulated else counted
    return scanned(scan_id, found.session, counts=counted is not None or settings.market.is_simulated)


def scanned(scan_id: int, session: dt.date, *, counts: bool) -> Scanned:
    """A scan with its decisions as they were recorded."""
    with db.engine().connect() as connection:
        rows = connection.execute(sa.select(decisions).where(decisions.c.scan_id == scan_id)).mappings().all()
    return Scanned(scan_id, session, pl.DataFrame([dict(row) for row in rows], infer_schema_length=None), counts)
