"""Which broker is asked for (BROKER=ibkr), and the paper account at IBKR with its connection."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

import sqlalchemy as sa

from bq.core import db
from bq.core.errors import BadParameters
from bq.core.settings import Settings
from bq.jobs.request import value
from bq.strategies.desk import Desk
from bq.trading import positions
from bq.trading.ledger import intents
from bq.trading.trader import Trader

if TYPE_CHECKING:
    from bq.trading.ibkr.broker import IBKR
    from bq.trading.ibkr.wire import Wire

DRY = "dry-run."  # accounts of the dry-run broker begin so


class Choice(StrEnum):
    """What BROKER= may be."""

    DRY_RUN = "dry-run"
    IBKR = "ibkr"


def asked() -> Choice:
    """The broker of this command. Raises BadParameters for one that there is not."""
    text = value("BROKER") or Choice.DRY_RUN
    if text not in list(Choice):
        raise BadParameters(f"BROKER must be one of {', '.join(Choice)}, but got {text!r}.")
    return Choice(text)


def dry_run_account(settings: Settings) -> str:
    """The dry-run account of a namespace: each has its own."""
    return f"{DRY}{settings.namespace}"


def account_of(settings: Settings) -> str:
    """The account of a namespace: at the dry-run broker one of its own, else the one that it traded on last."""
    if asked() == Choice.DRY_RUN:
        return dry_run_account(settings)
    if settings.trading.ibkr.account is not None:
        return settings.trading.ibkr.account
    own = (intents.c.namespace == str(settings.namespace), intents.c.account.not_like(f"{DRY}%"))
    query = sa.select(intents.c.account).where(*own).order_by(intents.c.intent_id.desc()).limit(1)
    with db.engine().connect() as connection:
        return connection.execute(query).scalar() or Choice.IBKR.value


def wire_of(settings: Settings) -> "Wire":
    """A connection to the paper account, not made yet. Raises NotPaper, and BadParameters on a simulated market."""
    from bq.trading.ibkr import guard  # late: the client library costs 0.3 s
    from bq.trading.ibkr.wire import Timing, Wire

    if settings.market.is_simulated:
        raise BadParameters(
            "BROKER=ibkr must be given for a real market, but market.source is simulated: its decisions never leave "
            "the dry-run broker. Leave BROKER out."
        )
    chosen = settings.trading.ibkr
    return Wire(guard.address(chosen.host, chosen.port), chosen.client_id, account=chosen.account, timing=Timing())


def ibkr(settings: Settings, desk: Desk, calendar: str, *, account: str | None = None) -> "IBKR":
    """The paper account. account : where it is known, no connection is made before it is needed."""
    from bq.trading.ibkr.broker import IBKR

    return IBKR(
        wire_of(settings),
        desk,
        calendar=calendar,
        steps=settings.trading.reprice_steps,
        now=lambda: dt.datetime.now(dt.UTC),
        account=account,
    )


@contextmanager
def line(settings: Settings) -> Iterator["Wire"]:
    """A connection to the paper account's TWS or gateway."""
    wire = wire_of(settings)
    try:
        wire.client()
        yield wire
    finally:
        wire.close()


@contextmanager
def connected(settings: Settings, desk: Desk, calendar: str) -> Iterator["IBKR"]:
    """The paper account, while it is connected."""
    broker = ibkr(settings, desk, calendar)
    try:
        yield broker
    finally:
        broker.wire.close()


def labels(trader: Trader) -> list[str]:
    """What must be read beside everything that is traded on a real account: which one, and on what prices."""
    if not trader.broker.real:
        return []
    from bq.trading.ibkr.broker import version_of

    said = [f"{trader.broker.account} · paper account · {version_of(trader.broker)}"]
    sources = positions.sources(trader.broker.account, trader.namespace)
    if "modelled" in sources:
        said.append("OPTION PRICES OF THE DECISIONS ARE MODELLED: fills are real paper fills, expectations are not")
    return said
