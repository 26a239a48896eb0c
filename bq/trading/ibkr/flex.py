"""A Flex statement of IBKR as a third book: its trades, positions and cash against those of the ledger.

A statement comes from IBKR's back office the day after, by another way than the gateway's answers, and holds what the
gateway has forgotten. In the Flex query: Trades at the level of executions, Open Positions, Cash Report, dates as
yyyy-MM-dd.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from bq.core import db, files
from bq.core.errors import BadData
from bq.strategies.desk import Leg, Right
from bq.trading.ledger import cash_events, commissions, executions
from bq.trading.money import PARTS
from bq.trading.positions import CHARGED, VIEW
from bq.trading.reconcile import Difference
from bq.trading.states import exec_id

BASE = "BASE_SUMMARY"
DECLARES = (b"<!DOCTYPE", b"<!ENTITY")  # no statement has one; it may grow without bounds


class Traded(NamedTuple):
    """A fill of one contract, in parts. commission : paid; None: not told."""

    order_ref: str
    contract: str
    quantity: int
    price: int
    commission: int | None


class Statement(NamedTuple):
    """What a statement says. trades : by the base of the execution's id. positions, cash : None: it has no such part.

    cash : how it changed over the period, but for deposits and withdrawals.
    """

    account: str
    first: dt.date
    last: dt.date
    trades: Mapping[str, Traded]
    positions: Mapping[str, int] | None
    cash: int | None


class ThirdBook(NamedTuple):
    """What the ledger and a statement do not agree on. Only executions of the days of the statement are compared."""

    compared: int  # executions that both have
    only_ours: tuple[str, ...]
    only_theirs: tuple[str, ...]
    differing: tuple[str, ...]
    positions: tuple[Difference, ...]
    cash: int | None  # of the statement less ours, in parts; interest, fees and dividends among it

    @property
    def agrees(self) -> bool:
        """Whether executions and positions are the same. Cash moves for more reasons than trades."""
        return not (self.only_ours or self.only_theirs or self.differing or self.positions)


def read(path: Path) -> list[Statement]:
    """The statements of a file, one an account. Raises BadData for anything else."""
    from ibflex import parser  # late: nothing else needs it

    content = files.read_bytes(path)
    if any(sign in content.upper() for sign in DECLARES):
        raise BadData(f"{path} must be a Flex statement, but declares a document type, which none does.")
    try:
        found = parser.parse(content)
    except (parser.FlexParserError, SyntaxError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadData(
            f"{path} must be a Flex statement in XML, but cannot be read as one: {error}. Download it as XML with "
            "dates as yyyy-MM-dd."
        ) from error
    if not all(one.accountId and one.fromDate and one.toDate for one in found.FlexStatements):
        raise BadData(f"{path} must be a Flex statement that says its account and its days, but does not.")
    return [_statement(one) for one in found.FlexStatements]


def _statement(one: Any) -> Statement:
    trades = [trade for trade in one.Trades or () if trade.ibExecID]
    held = one.OpenPositions if one.OpenPositions else None
    cash = next((row for row in one.CashReport or () if row.currency == BASE), None)
    return Statement(
        one.accountId,
        one.fromDate,
        one.toDate,
        {exec_id(trade.ibExecID)[0]: _traded(trade) for trade in sorted(trades, key=lambda t: exec_id(t.ibExecID)[1])},
        None if held is None else _held(held),
        None if cash is None else _change(cash),
    )


def _traded(trade: Any) -> Traded:
    fee = trade.ibCommission
    return Traded(
        trade.orderReference or "",
        _name(trade),
        int(trade.quantity),
        _parts(trade.tradePrice),
        None if fee is None else -_parts(fee),
    )


def _held(rows: Iterable[Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        if row.levelOfDetail in (None, "", "SUMMARY"):
            name = _name(row)
            found[name] = found.get(name, 0) + int(row.position)
    return found


def _change(row: Any) -> int:
    moved = (row.endingCash or Decimal(0)) - (row.startingCash or Decimal(0))
    return _parts(moved - (row.depositWithdrawals or Decimal(0)))


def _name(row: Any) -> str:
    """What the ledger calls a contract. An option's symbol is the one of the OCC: root, blanks, date, right, strike."""
    if row.expiry is None or row.strike is None:
        return str(row.symbol)
    root = str(row.symbol).split()[0]
    right = Right(row.putCall.value[:1].upper())
    return Leg(row.underlyingSymbol or root, 1, root, row.expiry, float(row.strike), right).contract


def _parts(amount: Decimal) -> int:
    return round(amount * PARTS)


def compare(statement: Statement) -> ThirdBook:
    """The ledger's executions, positions and cash against a statement's."""
    ours = _ours(statement)
    both = sorted(ours.keys() & statement.trades.keys())
    return ThirdBook(
        compared=len(both),
        only_ours=tuple(sorted(ours.keys() - statement.trades.keys())),
        only_theirs=tuple(sorted(statement.trades.keys() - ours.keys())),
        differing=tuple(name for name in both if not _same(ours[name], statement.trades[name])),
        positions=() if statement.positions is None else _positions(statement, statement.positions),
        cash=None if statement.cash is None else statement.cash - _moved(statement),
    )


def _same(ours: Traded, theirs: Traded) -> bool:
    """Whether a fill is the same in both. A statement may leave out the orderRef and the commission."""
    named = not theirs.order_ref or ours.order_ref == theirs.order_ref
    charged = None in (ours.commission, theirs.commission) or ours.commission == theirs.commission
    return named and charged and ours[1:4] == theirs[1:4]


def _ours(statement: Statement) -> dict[str, Traded]:
    """The fills of the statement's days, the newest revision of each, but for what was booked without an order."""
    query = (
        sa.select(executions, commissions.c.amount)
        .outerjoin(commissions, commissions.c.base == executions.c.base)
        .where(executions.c.account == statement.account, executions.c.whole.is_(False), executions.c.perm_id > 0)
        .where(executions.c.session.between(statement.first, statement.last))
        .order_by(executions.c.revision, commissions.c.revision)
    )
    with db.engine().connect() as connection:
        rows = connection.execute(query).all()
    return {row.base: Traded(row.order_ref, row.contract, row.quantity, row.price, row.amount) for row in rows}


def _positions(statement: Statement, theirs: Mapping[str, int]) -> tuple[Difference, ...]:
    until = (VIEW.c.account == statement.account, VIEW.c.session <= statement.last)
    query = sa.select(VIEW.c.contract, sa.func.sum(VIEW.c.quantity)).where(*until).group_by(VIEW.c.contract)
    with db.engine().connect() as connection:
        ours = {contract: int(quantity) for contract, quantity in connection.execute(query)}
    names = sorted(ours.keys() | theirs.keys())
    found = (Difference(name, ours.get(name, 0), theirs.get(name, 0)) for name in names)
    return tuple(one for one in found if one.ours != one.theirs)


def _moved(statement: Statement) -> int:
    """What the ledger says that cash changed by in the statement's days."""
    total = 0
    with db.engine().connect() as connection:
        for table, column, sign in ((VIEW, VIEW.c.cash, 1), (CHARGED, CHARGED.c.amount, -1), (cash_events, None, 1)):
            amount = cash_events.c.amount if column is None else column
            days = (table.c.account == statement.account, table.c.session.between(statement.first, statement.last))
            total += sign * int(connection.execute(sa.select(sa.func.sum(amount)).where(*days)).scalar() or 0)
    return total
