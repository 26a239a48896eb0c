"""What the ledger says of an account as tables: what was meant, what was filled, what each position made."""

from typing import Any, NamedTuple

import polars as pl
import sqlalchemy as sa

from bq.core import db
from bq.trading import curve
from bq.trading.ledger import executions, intents, marks, orders
from bq.trading.money import PARTS
from bq.trading.positions import CHARGED, PLACE, VIEW

FILLS = pl.Schema(
    {
        "track": pl.String,
        "position": pl.String,
        "session": pl.Date,
        "contract": pl.String,
        "action": pl.String,
        "quantity": pl.Int64,
        "cash": pl.Float64,
    }
)
MEANT = pl.Schema(
    {
        "track": pl.String,
        "position": pl.String,
        "symbol": pl.String,
        "action": pl.String,
        "session": pl.Date,
        "refusal": pl.String,
        "model_id": pl.String,
        "orders": pl.Int64,
        "filled": pl.Int64,
    }
)
RESULTS = pl.Schema(
    {
        "track": pl.String,
        "position": pl.String,
        "entered": pl.Date,
        "left": pl.Date,
        "pnl": pl.Float64,
        "commissions": pl.Float64,
    }
)


class Journal(NamedTuple):
    """Of one account and namespace; money in currency.

    running : P&L of each track since its first order, `curve.running`. fills : a row for each position, session and
    contract, `FILLS`; cash : moved, negative where bought. meant : `MEANT`, in the order in which it was written;
    refusal null: followed; orders, filled : how many were written for it, and of how many anything was filled.
    results : `RESULTS`; left null: still open, at its newest mark, else at what was paid.
    """

    running: pl.DataFrame
    fills: pl.DataFrame
    meant: pl.DataFrame
    results: pl.DataFrame


def read(account: str, namespace: str) -> Journal:
    """All that the ledger has of it."""
    own = [VIEW.c.account == account, VIEW.c.namespace == namespace]
    keys = [VIEW.c[name] for name in ("track", "position", "session", "contract", "action")]
    sums = (sa.func.sum(VIEW.c.quantity).label("quantity"), sa.func.sum(VIEW.c.cash).label("cash"))
    fills = _frame(sa.select(*keys, *sums).where(*own).group_by(*keys).order_by(*keys[:3], *keys[3:]), FILLS)
    named = [intents.c[name] for name in MEANT.names() if name in intents.c]
    has_fill = sa.exists().where(executions.c.order_ref == orders.c.order_ref)
    counts = (sa.func.count(orders.c.order_ref), sa.func.count(sa.case((has_fill, orders.c.order_ref))))
    meant = (
        sa.select(*named, *counts)
        .outerjoin(orders, orders.c.intent_id == intents.c.intent_id)
        .where(intents.c.account == account, intents.c.namespace == namespace)
        .group_by(intents.c.intent_id, *named)
        .order_by(intents.c.intent_id)
    )
    fills = fills.with_columns(pl.col("cash") / PARTS)
    return Journal(curve.running(account, namespace), fills, _frame(meant, MEANT), _results(account, namespace, fills))


def account_of(namespace: str) -> str | None:
    """The account that the namespace traded on last; None where it never did."""
    query = sa.select(intents.c.account).where(intents.c.namespace == namespace)
    with db.engine().connect() as connection:
        return connection.execute(query.order_by(intents.c.intent_id.desc()).limit(1)).scalar()


def _frame(query: sa.Select, schema: pl.Schema) -> pl.DataFrame:
    with db.engine().connect() as connection:
        rows: list[Any] = [tuple(row) for row in connection.execute(query)]
    return pl.DataFrame(rows, schema=schema, orient="row", strict=False)


def _results(account: str, namespace: str, fills: pl.DataFrame) -> pl.DataFrame:
    """What each position made."""
    place = ["track", "position"]
    fees = _sums(CHARGED, account, namespace, sa.func.sum(CHARGED.c.amount), "commissions")
    newest = sa.select(*(marks.c[name] for name in PLACE), sa.func.max(marks.c.session).label("session"))
    last = newest.group_by(*(marks.c[name] for name in PLACE)).subquery()
    same = [marks.c[name] == last.c[name] for name in (*PLACE, "session")]
    query = sa.select(marks.c.track, marks.c.position, marks.c.value).join(last, sa.and_(*same))
    own = (marks.c.account == account, marks.c.namespace == namespace)
    worth = _frame(query.where(*own), pl.Schema({"track": pl.String, "position": pl.String, "worth": pl.Float64}))
    of_contract = fills.group_by(*place, "contract").agg(pl.col("quantity").sum())
    open_ones = of_contract.group_by(place).agg((pl.col("quantity") != 0).any().alias("open"))
    sums = fills.group_by(place).agg(
        pl.col("session").min().alias("entered"), pl.col("session").max().alias("left"), pl.col("cash").sum()
    )
    made = sums.join(open_ones, on=place).join(fees, on=place, how="left").join(worth, on=place, how="left")
    value = pl.when("open").then(pl.coalesce(pl.col("worth") / PARTS, -pl.col("cash"))).otherwise(0.0)
    paid = pl.col("commissions").fill_null(0.0) / PARTS
    return (
        made.with_columns(
            left=pl.when(~pl.col("open")).then("left"), pnl=pl.col("cash") + value - paid, commissions=paid
        )
        .select(RESULTS.names())
        .sort("entered", *place)
    )


def _sums(table: Any, account: str, namespace: str, what: Any, name: str) -> pl.DataFrame:
    keys = [table.c.track, table.c.position]
    own = (table.c.account == account, table.c.namespace == namespace)
    schema = pl.Schema({"track": pl.String, "position": pl.String, name: pl.Float64})
    return _frame(sa.select(*keys, what).where(*own).group_by(*keys), schema)
