"""Whether the page of trading shows what is; a light module, as who has nothing new to show waits for no page."""

import datetime as dt
from pathlib import Path

import sqlalchemy as sa

from bq.core import db, files, paths
from bq.trading import gates
from bq.trading.ledger import executions, intents, order_events
from bq.trading.trader import Trader


def page(namespace: str) -> Path:
    """Where the page of a namespace is."""
    return paths.outputs() / "trading" / f"{namespace}.html"


def facts(trader: Trader, *, holds: bool) -> dict[str, int | str | bool | None]:
    """What a page shows: the ledger as far as it goes, and the session, where something is held that it marks."""
    session: dt.date | None = trader.clock.session if holds else None
    newest = (sa.func.max(intents.c.intent_id), sa.func.max(order_events.c.id), sa.func.count(executions.c.base))
    with db.engine().connect() as connection:
        intent, event, fills = (connection.execute(sa.select(of)).scalar_one() for of in newest)
    at = None if session is None else session.isoformat()
    return {"session": at, "intent": intent, "event": event, "fills": fills, "stopped": gates.stopped()}


def due(trader: Trader, *, holds: bool) -> bool:
    """Whether a page is to be written: something was meant or traded, and no page shows it yet."""
    now, written = facts(trader, holds=holds), _record(trader)
    there = page(trader.namespace).is_file() and written.is_file()
    return now["intent"] is not None and not (there and files.read_json(written) == now)


def remember(trader: Trader, *, holds: bool) -> None:
    """Write down what the page shows that was written just now."""
    files.write_json(_record(trader), facts(trader, holds=holds))


def _record(trader: Trader) -> Path:
    return page(trader.namespace).with_suffix(".json")
