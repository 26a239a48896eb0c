"""Positions and commissions a row an execution: whoever reads them sums over what he needs, once instead of twice."""

from alembic import op

revision = "0007"
down_revision = "0006"

# Of each execution its last revision; combinations count by their legs, of which the row of the whole is the sum.
POSITIONS = """
create view v_positions as
select i.account, i.namespace, i.track, i.position, i.symbol, i.action, e.contract, e.session,
  e.quantity, -e.quantity * e.price * e.multiplier as cash
from executions e
join orders o on o.order_ref = e.order_ref
join intents i on i.intent_id = o.intent_id
where not e.whole
  and not exists (select 1 from executions l where l.base = e.base and l.revision > e.revision)
"""

COMMISSIONS = """
create view v_commissions as
select i.account, i.namespace, i.track, i.position, e.session, c.amount
from commissions c
join executions e on e.exec_id = c.exec_id
join orders o on o.order_ref = e.order_ref
join intents i on i.intent_id = o.intent_id
where not exists (select 1 from commissions l where l.base = c.base and l.revision > c.revision)
"""


def upgrade() -> None:
    """Make the views anew."""
    for name, view in {"v_positions": POSITIONS, "v_commissions": COMMISSIONS}.items():
        op.execute(f"drop view {name}")
        op.execute(view)
