"""The ledger of trading: intents, orders and what became of them, executions, commissions, marks, cash."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

UTC = sa.DateTime(timezone=True)

# Of each execution its last revision; combinations count by their legs, of which the row of the whole is the sum.
POSITIONS = """
create view v_positions as
select i.account, i.namespace, i.track, i.position, i.symbol, i.action, e.contract, e.session,
  sum(e.quantity) as quantity, -sum(e.quantity * e.price * e.multiplier) as cash
from executions e
join orders o on o.order_ref = e.order_ref
join intents i on i.intent_id = o.intent_id
where not e.whole
  and not exists (select 1 from executions l where l.base = e.base and l.revision > e.revision)
group by i.account, i.namespace, i.track, i.position, i.symbol, i.action, e.contract, e.session
"""

COMMISSIONS = """
create view v_commissions as
select i.account, i.namespace, i.track, i.position, e.session, sum(c.amount) as amount
from commissions c
join executions e on e.exec_id = c.exec_id
join orders o on o.order_ref = e.order_ref
join intents i on i.intent_id = o.intent_id
where not exists (select 1 from commissions l where l.base = c.base and l.revision > c.revision)
group by i.account, i.namespace, i.track, i.position, e.session
"""


def upgrade() -> None:
    """Make the tables and the view."""
    op.create_table(
        "intents",
        sa.Column("intent_id", sa.Integer, primary_key=True),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("namespace", sa.String, nullable=False),
        sa.Column("track", sa.String, nullable=False),
        sa.Column("position", sa.String, nullable=False),
        sa.Column("event_id", sa.String, nullable=False),
        sa.Column("symbol", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("session", sa.Date, nullable=False),
        sa.Column("at_utc", UTC, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("risk", sa.BigInteger),
        sa.Column("reason", sa.String),
        sa.Column("refusal", sa.String),
        sa.Column("model_id", sa.String),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("period_end_utc", UTC),
        sa.Column("event", sa.JSON, nullable=False),
        sa.Column("legs", sa.JSON, nullable=False),
    )
    op.create_index("ix_intents_namespace", "intents", ["namespace"])
    op.create_table(
        "orders",
        sa.Column("order_ref", sa.String, primary_key=True),
        sa.Column("intent_id", sa.Integer, sa.ForeignKey("intents.intent_id", name="fk_orders_intents")),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("tif", sa.String, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("limit_price", sa.BigInteger),
        sa.Column("last_price", sa.BigInteger),
        sa.Column("stop_distance", sa.BigInteger),
        sa.Column("parent", sa.String),
        sa.Column("session", sa.Date, nullable=False),
        sa.Column("expires_utc", UTC, nullable=False),
    )
    op.create_index("ix_orders_intent_id", "orders", ["intent_id"])
    op.create_table(
        "order_events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("order_ref", sa.String, sa.ForeignKey("orders.order_ref", name="fk_order_events_orders")),
        sa.Column("said", sa.String, nullable=False),
        sa.Column("perm_id", sa.BigInteger),
        sa.Column("limit_price", sa.BigInteger),
        sa.Column("session", sa.Date, nullable=False),
        sa.Column("at_utc", UTC, nullable=False),
        sa.Column("details", sa.JSON),
    )
    op.create_index("ix_order_events_order_ref", "order_events", ["order_ref"])
    op.create_table(
        "executions",
        sa.Column("exec_id", sa.String, primary_key=True),
        sa.Column("base", sa.String, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("order_ref", sa.String, nullable=False),
        sa.Column("perm_id", sa.BigInteger),
        sa.Column("whole", sa.Boolean, nullable=False),
        sa.Column("contract", sa.String, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("multiplier", sa.BigInteger, nullable=False),
        sa.Column("session", sa.Date, nullable=False),
        sa.Column("at_utc", UTC, nullable=False),
    )
    op.create_index("ix_executions_base", "executions", ["base"])
    op.create_index("ix_executions_order_ref", "executions", ["order_ref"])
    op.create_table(
        "commissions",
        sa.Column("exec_id", sa.String, primary_key=True),
        sa.Column("base", sa.String, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_commissions_base", "commissions", ["base"])
    op.create_table(
        "marks",
        sa.Column("account", sa.String, primary_key=True),
        sa.Column("namespace", sa.String, primary_key=True),
        sa.Column("track", sa.String, primary_key=True),
        sa.Column("position", sa.String, primary_key=True),
        sa.Column("session", sa.Date, primary_key=True),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("quoted", sa.Boolean, nullable=False),
        sa.Column("delta", sa.Float),
        sa.Column("gamma", sa.Float),
        sa.Column("vega", sa.Float),
        sa.Column("theta", sa.Float),
    )
    op.create_table(
        "cash_events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("namespace", sa.String, nullable=False),
        sa.Column("track", sa.String, nullable=False),
        sa.Column("position", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("session", sa.Date, nullable=False),
        sa.Column("at_utc", UTC, nullable=False),
        sa.Column("details", sa.JSON),
    )
    op.create_table(
        "track_decisions",
        sa.Column(
            "scan_id", sa.Integer, sa.ForeignKey("scans.scan_id", name="fk_track_decisions_scans"), primary_key=True
        ),
        sa.Column("track", sa.String, primary_key=True),
        sa.Column("event_id", sa.String, primary_key=True),
        sa.Column("assigned", sa.Boolean, nullable=False),
        sa.Column("should_trade", sa.Boolean),
        sa.Column("rank", sa.Integer),
    )
    op.execute(POSITIONS)
    op.execute(COMMISSIONS)
