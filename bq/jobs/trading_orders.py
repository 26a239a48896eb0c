"""Orders and refusals as rows for people."""

from typing import Any

import sqlalchemy as sa

from bq.core import db
from bq.jobs import traded
from bq.trading import ledger
from bq.trading.intents import legs_of
from bq.trading.ledger import intents, orders

NEWEST = 200


def order_rows(account: str, namespace: str, *, track: str | None = None, newest: int = NEWEST) -> list[dict[str, Any]]:
    """The newest orders and refusals, the last first, and where each order stands."""
    standings = {one.order.order_ref: one.standing for one in ledger.every(account, namespace, newest=newest)}
    query = (
        sa.select(intents, orders.c.order_ref, orders.c.kind, orders.c.quantity.label("asked"))
        .outerjoin(orders, orders.c.intent_id == intents.c.intent_id)
        .where(intents.c.account == account, intents.c.namespace == namespace)
        .order_by(intents.c.intent_id.desc())
    )
    if track is not None:
        query = query.where(intents.c.track == track)
    with db.engine().connect() as connection:
        rows = connection.execute(query.limit(newest)).all()
    return [_row(row, standings.get(row.order_ref)) for row in rows]


def _row(row: sa.Row, standing: Any) -> dict[str, Any]:
    legs = legs_of(row.legs)
    return {
        "session": row.session,
        "track": row.track,
        "symbol": row.symbol if len(legs) > 1 else legs[0].contract,
        "what": row.action,
        "order": row.order_ref,
        "kind": row.kind,
        "units": row.asked if row.order_ref else row.quantity,
        "filled": standing and standing.filled,
        "state": standing and str(standing.state),
        "reason": row.reason or "",
        "why": traded.why_text(row.refusal) if row.refusal else "",
        "source": row.source,
    }
