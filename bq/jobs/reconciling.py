"""`make reconcile`: the ledger against the broker, and against a third book, a Flex statement (FLEX=statement.xml)."""

from pathlib import Path

from bq import market
from bq.core.errors import BadData, BadParameters
from bq.jobs import traded
from bq.jobs.request import Request, value
from bq.jobs.trade_paper import trading
from bq.trading import cash, daily, money
from bq.trading.cash import Cash
from bq.trading.ibkr import flex
from bq.trading.ibkr.flex import Statement, ThirdBook
from bq.workbench import screen
from bq.workbench.phrases import counted

SHOWN = 10  # of each kind of difference


def main(request: Request) -> None:
    """Ours against the broker's: contracts, executions, orders, cash. Nothing new is sent."""
    statement = Path(name) if (name := value("FLEX")) else None
    if statement and not statement.is_file():
        raise BadParameters(f"FLEX must name a Flex statement (XML), but {statement} is no file.")
    settings, data = request.settings, market.load(request.settings.market)
    books = flex.read(statement) if statement else []
    with trading(request.strategy, settings, data) as trader:
        seen, account = daily.taken_up(trader), trader.broker.account
        found = daily.compared(trader, seen)
        told = [f"{account}: the ledger and the broker agree" if found.holds else f"{account}: not reconciled"]
        told += traded.differences(found)
        if found.answered and seen is not None and seen.cash is not None:
            told.append(cash_line(cash.compared(account, seen.cash, trader.clock.session)))
    if statement:
        told += third(_of(books, account, statement))
    screen.show("\n".join(told))


def cash_line(found: Cash) -> str:
    """The cash of the account and what of it no trade explains."""
    told, moved, rest = (money.cents(amount) for amount in (found.told, found.moved, found.unexplained))
    explained = f"unexplained since {found.since}: {rest:+,}" if found.unexplained else "all of it explained"
    return f"cash        {told:,} on the account, {moved:+,} moved by the ledger; {explained}"


def third(statement: Statement) -> list[str]:
    """What a statement and the ledger do not agree on, a line each."""
    book = flex.compare(statement)
    days = f"{statement.first} to {statement.last}"
    verdict = "agrees with the ledger" if book.agrees else "does not agree with the ledger"
    lines = [f"statement   {days} {verdict}: {counted(book.compared, 'execution')} in both"]
    lines += [f"statement   {line}" for line in _differences(book)]
    if book.cash is not None:
        lines.append(f"statement   cash beside trades (interest, fees, dividends …): {money.cents(book.cash):+,}")
    return lines


def _differences(book: ThirdBook) -> list[str]:
    kinds = (
        (book.only_ours, "has no execution {}"),
        (book.only_theirs, "has execution {}, which the ledger has not"),
        (book.differing, "execution {} has another order, contract, quantity, price or commission"),
        (tuple(f"{one.contract}: ledger {one.ours:+d}, statement {one.theirs:+d}" for one in book.positions), "{}"),
    )
    lines = []
    for names, text in kinds:
        lines += [text.format(name) for name in names[:SHOWN]]
        lines += [f"… and {len(names) - SHOWN:,} more"] if len(names) > SHOWN else []
    return lines


def _of(books: list[Statement], account: str, path: Path) -> Statement:
    found = next((one for one in books if one.account == account), None)
    if found is None:
        names = ", ".join(one.account for one in books) or "none"
        raise BadData(f"{path} must be a statement of the account {account}, but is of {names}. Give that account's.")
    return found
