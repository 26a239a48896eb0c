"""Three books of one account: the ledger, the gateway's answers, a Flex statement; and its cash."""

import datetime as dt
from types import SimpleNamespace

import paper
import pytest
import season
import sqlalchemy as sa
from gateway.book import ACCOUNT, PARTS
from paper import ALONE, Paper
from season import DAYS, settings_of

from bq.core import db
from bq.core.errors import BadData, BadParameters
from bq.jobs import brokers, reconciling, trade_paper
from bq.trading import cash, daily, money
from bq.trading.ibkr import flex
from bq.trading.reconcile import Difference

BODY, LOW = "FLY 20211217 C 100", "FLY 20211217 C 95"


@pytest.fixture
def account(port):
    """An account that holds four combinations and four shares."""
    made = Paper(port, settings_of(**ALONE))
    made.run(DAYS[0], ["FLY", "S1"])
    made.play(DAYS[1])
    made.run(DAYS[1])
    yield made
    made.gateway.stop()


def contract(spec):
    """The attributes of a contract in a statement."""
    if not spec.strike:
        return f'assetCategory="STK" symbol="{spec.symbol}" underlyingSymbol="" multiplier="1"'
    day = dt.datetime.strptime(spec.expiry, "%Y%m%d")
    occ = f"{spec.trading_class:<6}{day:%y%m%d}{spec.right}{round(spec.strike * 1000):08d}"
    return (
        f'assetCategory="OPT" symbol="{occ}" underlyingSymbol="{spec.symbol}" multiplier="100" '
        f'strike="{spec.strike:g}" expiry="{day:%Y-%m-%d}" putCall="{spec.right}"'
    )


def statement(account, *, leave_out=0, price=0, held=None, interest=0.0, account_id=ACCOUNT, named=True):
    """A statement as the back office has it; with changes where something is wrong."""
    book = account.book
    fills = [one for one in book.executions if one.spec.sec_type != "BAG"][leave_out:]
    trades = "".join(
        f'<Trade accountId="{account_id}" currency="USD" {contract(one.spec)} tradeDate="{one.session}" '
        f'quantity="{one.quantity}" tradePrice="{(one.price + price * (n == 0)) / PARTS}" '
        f'ibCommission="{-(one.commission or 0) / PARTS}" ibExecID="{one.exec_id}" levelOfDetail="EXECUTION" '
        f'orderReference="{one.ref if named else ""}" />'
        for n, one in enumerate(fills)
    )
    positions = "".join(
        f'<OpenPosition accountId="{account_id}" {contract(account.gateway._named(name))} position="{n}" '
        'levelOfDetail="SUMMARY" />'
        for name, n in (held or book.held).items()
    )
    moved = (book.cash - book.opened_with) / PARTS + interest
    return (
        '<FlexQueryResponse queryName="q" type="AF"><FlexStatements count="1">'
        f'<FlexStatement accountId="{account_id}" fromDate="{DAYS[0]}" toDate="{DAYS[1]}" period="" '
        f'whenGenerated="{DAYS[1]};20:00:00"><Trades>{trades}</Trades><OpenPositions>{positions}</OpenPositions>'
        f'<CashReport><CashReportCurrency accountId="{account_id}" currency="BASE_SUMMARY" startingCash="1000000" '
        f'endingCash="{1_000_000 + 5_000 + moved}" depositWithdrawals="5000" /></CashReport>'
        "</FlexStatement></FlexStatements></FlexQueryResponse>"
    )


def compared(account, tmp_path, **changes):
    """The ledger against a statement."""
    path = tmp_path / "statement.xml"
    path.write_text(statement(account, **changes))
    (found,) = flex.read(path)
    return flex.compare(found), reconciling.third(found)


@pytest.mark.parametrize("named", [True, False], ids=["with-orderRef", "without-orderRef"])
def test_a_statement_of_the_same_fills_agrees_to_the_cent(account, tmp_path, named):
    book, told = compared(account, tmp_path, named=named)
    assert book.agrees and book.compared == 4 and book.cash == 0
    assert told[0] == f"statement   {DAYS[0]} to {DAYS[1]} agrees with the ledger: 4 executions in both"


WRONG = {
    "a-fill-is-missing-there": ({"leave_out": 1}, "has no execution"),
    "another-price": ({"price": 100}, "has another order, contract, quantity, price or commission"),
    "another-position": ({"held": {BODY: -8, LOW: 5}}, f"{LOW}: ledger +4, statement +5"),
}


@pytest.mark.parametrize(("changes", "says"), WRONG.values(), ids=WRONG)
def test_what_a_statement_has_otherwise_is_said(account, tmp_path, changes, says):
    book, told = compared(account, tmp_path, **changes)
    assert not book.agrees
    assert "does not agree" in told[0] and any(says in line for line in told)


def test_a_fill_that_the_ledger_does_not_have_is_said(account, tmp_path):
    with db.engine().begin() as connection:
        gone = connection.execute(sa.text("select base from executions where contract = 'S1'")).scalar_one()
        connection.execute(sa.text("delete from executions where contract = 'S1'"))
    book, told = compared(account, tmp_path)
    assert book.only_theirs == (gone,)
    assert book.positions == (Difference("S1", 0, 4),)
    assert any(f"has execution {gone}, which the ledger has not" in line for line in told)


def test_cash_beside_trades_is_said_and_is_no_disagreement(account, tmp_path):
    book, told = compared(account, tmp_path, interest=12.34)
    assert book.agrees and money.cents(book.cash) == money.cents(123_400)
    assert told[-1].endswith("(interest, fees, dividends …): +12.34")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("not xml", id="no-xml"),
        pytest.param("<html></html>", id="another-document"),
        pytest.param('<!DOCTYPE a [<!ENTITY b "c">]><FlexQueryResponse/>', id="with-a-document-type"),
        pytest.param(
            '<FlexQueryResponse queryName="q" type="AF"><FlexStatements count="1"><FlexStatement accountId="DU1" '
            "/></FlexStatements></FlexQueryResponse>",
            id="of-no-days",
        ),
    ],
)
def test_what_is_no_statement_is_refused_in_a_sentence(tmp_path, content):
    path = tmp_path / "statement.xml"
    path.write_text(content)
    with pytest.raises(BadData, match=r"statement\.xml must be a Flex statement"):
        flex.read(path)


def test_a_statement_of_another_account_is_refused(account, tmp_path):
    path = tmp_path / "statement.xml"
    path.write_text(statement(account, account_id="DU7654321"))
    with pytest.raises(BadData, match=r"must be a statement of the account DU1234567, but is of DU7654321"):
        reconciling._of(flex.read(path), ACCOUNT, path)


def test_cash_that_no_trade_explains_is_told_since_the_first_look(account):
    with account.trader(DAYS[1]) as trader:
        first = cash.compared(ACCOUNT, trader.broker.look().cash, DAYS[1])
        assert (first.unexplained, money.cents(first.told)) == (0, money.cents(account.book.cash))
        account.book.cash += 123_400
        then = cash.compared(ACCOUNT, trader.broker.look().cash, DAYS[2])
    assert (then.unexplained, then.since) == (123_400, DAYS[1])
    assert reconciling.cash_line(then).endswith(f"unexplained since {DAYS[1]}: +12.34")
    assert reconciling.cash_line(first).endswith("all of it explained")


def test_the_account_the_version_and_modelled_prices_are_told(account):
    with account.trader(DAYS[1]) as trader:
        told = brokers.labels(trader)
    assert told[0].startswith("DU1234567 · paper account · server version 176 by ib_insync ")
    assert told[1].startswith("OPTION PRICES OF THE DECISIONS ARE MODELLED")


def test_a_simulated_market_is_refused_before_anything_is_connected(account, monkeypatch):
    monkeypatch.setenv("BROKER", "ibkr")
    before = account.gateway.received.total()
    with pytest.raises(BadParameters, match="never leave the dry-run broker"):
        brokers.wire_of(account.settings)
    assert account.gateway.received.total() == before
    monkeypatch.setenv("BROKER", "ikbr")
    with pytest.raises(BadParameters, match="BROKER must be one of dry-run, ibkr, but got 'ikbr'"):
        brokers.asked()


def test_reading_the_books_needs_no_connection(account, monkeypatch):
    monkeypatch.setenv("BROKER", "ibkr")
    settings = SimpleNamespace(
        namespace=account.settings.namespace,
        trading=account.settings.trading,
        market=SimpleNamespace(is_simulated=False),
    )
    assert brokers.account_of(settings) == ACCOUNT
    before = account.gateway.received.total()
    broker = brokers.ibkr(settings, season.ToyDesk(), "XNYS", account=ACCOUNT)
    assert (broker.account, broker.real) == (ACCOUNT, True)
    assert account.gateway.received.total() == before


def test_a_run_is_alone_on_the_account_and_leaves_the_connection(account, monkeypatch):
    monkeypatch.setenv("BROKER", "ibkr")
    port = account.settings.trading.ibkr.model_copy(update={"port": account.port})
    trading = account.settings.trading.model_copy(update={"ibkr": port})
    market = SimpleNamespace(is_simulated=False, calendar="XNYS")
    settings = SimpleNamespace(namespace=account.settings.namespace, trading=trading, market=market)
    strategy = SimpleNamespace(name="toy", desk=lambda data, settings: season.ToyDesk())
    data = SimpleNamespace(calendar="XNYS", bars={"session": SimpleNamespace(max=lambda: DAYS[1])})
    with trade_paper.trading(strategy, settings, data) as trader:
        assert trader.broker.account == ACCOUNT and trader.clock.session == DAYS[1]
        seen = daily.taken_up(trader)
        assert daily.compared(trader, seen).holds
        assert (trader.broker.account, paper.NAMESPACE) == (ACCOUNT, str(season.NAMESPACE))
    account.gateway.drop()
