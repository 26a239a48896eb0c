"""Nothing but a paper account on this machine is ever sent an order, and the kill switch stops the next one."""

import pytest
import season
from gateway.server import Gateway
from paper import ALONE, QUICK, Paper
from season import DAYS, settings_of

from bq.core import files
from bq.strategies.desk import Kind
from bq.trading import gates, ledger
from bq.trading.broker import NoAnswer, Ticket
from bq.trading.ibkr import guard
from bq.trading.ibkr.guard import NotPaper
from bq.trading.ibkr.wire import BadVersion, NotConnected
from bq.trading.intents import Order
from bq.trading.trader import send

PLACE = 3


@pytest.fixture
def account(port):
    """An account on which nothing goes wrong."""
    made = Paper(port, settings_of(**ALONE))
    yield made
    made.gateway.stop()


def ticket(ref="ButterAI-fly-open-1"):
    """A combination to buy."""
    event = {"session": DAYS[0], "symbol": "FLY", "source": "modelled"}
    order = Order(ref, Kind.LIMIT, 4, DAYS[1], season.CLOSE[DAYS[1]], limit_price=25_000, last_price=27_000)
    return Ticket(order, season.ToyDesk().legs(event), True, event)


@pytest.mark.parametrize(
    ("host", "number"),
    [
        pytest.param("127.0.0.1", 7496, id="tws-of-a-real-account"),
        pytest.param("127.0.0.1", 4001, id="gateway-of-a-real-account"),
        pytest.param("127.0.0.1", 80, id="any-other-port"),
        pytest.param("192.168.1.5", 7497, id="another-machine"),
        pytest.param("0.0.0.0", 7497, id="every-interface"),
        pytest.param("example.com", 7497, id="a-name"),
        pytest.param("127.0.0.1.example.com", 7497, id="a-name-like-this-machine"),
    ],
)
def test_an_address_that_is_no_paper_port_of_this_machine_is_refused(host, number):
    with pytest.raises(NotPaper, match="Nothing was sent"):
        guard.address(host, number)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_paper_port_of_this_machine_is_accepted(host):
    assert guard.address(host, 4002).port == 4002


MIXED = {
    "real": "U1234567",
    "real-beside-paper": "DU1234567,U7654321",
    "paper-beside-real": "U7654321,DU1234567",
    "advisor": "F1234567,DU1234567",
    "nearly": "XDU1234567",
    "lower-case": "du1234567",
}


@pytest.mark.parametrize("accounts", MIXED.values(), ids=MIXED)
def test_a_login_with_an_account_that_is_not_paper_is_refused_before_any_order(account, accounts):
    account.gateway.accounts = accounts
    with pytest.raises(NotPaper, match="paper account"), account.trader(DAYS[0]):
        pass
    assert account.gateway.received[PLACE] == 0


@pytest.mark.parametrize("accounts", MIXED.values(), ids=MIXED)
def test_it_is_refused_at_every_reconnect_too(account, accounts):
    with account.trader(DAYS[0]) as trader:
        assert trader.broker.look().orders == ()
        account.gateway.drop()
        account.gateway.accounts = accounts
        for _ in range(2):
            with pytest.raises(NotPaper, match="paper account"):
                for _ in range(2):  # the first call may be the one that finds the connection gone
                    try:
                        trader.broker.place(ticket())
                    except NoAnswer:
                        continue
    assert account.gateway.received[PLACE] == 0 and account.book.orders == []


def test_of_several_paper_accounts_the_one_that_is_named_is_traded(account):
    account.gateway.accounts = "DU1234567,DU7654321"
    with pytest.raises(NotPaper, match=r"`trading\.ibkr\.account` must say which"), account.trader(DAYS[0]):
        pass
    wire = account.wire(account="DU1234567")
    assert wire.account == "DU1234567"
    wire.close()
    with pytest.raises(NotPaper, match="one that the login manages"):
        account.wire(account="DU9").client()


def test_after_a_reconnection_to_another_paper_account_nothing_is_sent(account):
    with account.trader(DAYS[0]) as trader:
        account.gateway.drop()
        account.gateway.accounts = "DU7654321"
        with pytest.raises(NotPaper, match="one that the login manages"):
            for _ in range(2):
                try:
                    trader.broker.place(ticket())
                except NoAnswer:
                    continue
    assert account.gateway.received[PLACE] == 0


def test_every_order_names_the_account_and_how_long_it_is_good(account):
    account.run(DAYS[0], ["FLY", "S1"])
    assert account.gateway.ordered == 3  # the stand-in refuses one without them
    assert {one.tif for one in account.book.orders} == {"DAY", "GTC"}


def test_the_kill_switch_stops_the_very_next_order(account):
    with account.trader(DAYS[0]) as trader:
        trader.broker.place(ticket())
        files.write_text(gates.switch(), "stop")
        with pytest.raises(NoAnswer, match="kill switch"):
            trader.broker.place(ticket("ButterAI-fly-open-2"))
        with pytest.raises(NoAnswer, match="kill switch"):
            trader.broker.amend("ButterAI-fly-open-1", 26_000)
        assert not send(trader, ticket("ButterAI-fly-open-3"), trader.stamp)
        assert account.gateway.ordered == 1
        trader.broker.cancel("ButterAI-fly-open-1")
        trader.broker.look()
    assert [one.status for one in account.book.orders] == ["Cancelled"]


def test_a_kill_switch_turned_on_between_two_orders_of_a_run_stops_the_second(account, monkeypatch):
    place = account.gateway._place

    def placed(asked, client_id):
        place(asked, client_id)
        if not asked.what_if:
            files.write_text(gates.switch(), "stop")

    monkeypatch.setattr(account.gateway, "_place", placed)
    account.run(DAYS[0], ["FLY", "GNAT", "S1"])
    assert account.gateway.ordered == 1


def test_a_simulated_decision_never_reaches_a_real_account_and_a_modelled_one_does(account):
    made = account.run(DAYS[0], ["FLY"], source="simulated")
    assert [why for one in made.entered for _, why in one.refused] == [gates.Refusal.SIMULATED]
    assert account.gateway.ordered == 0
    made = account.run(DAYS[0], ["GNAT"], source="modelled")
    assert [intent.source for one in made.entered for intent in one.made] == ["modelled"]
    assert ledger.every("DU1234567", str(season.NAMESPACE), newest=1)[0].order.order_ref.startswith("ButterAI-gnat")


@pytest.mark.parametrize("version", [100, 156, 177, 999])
def test_a_version_that_the_client_does_not_understand_is_one_sentence(port, version):
    made = Paper(port, settings_of(**ALONE), version=version)
    try:
        quick = made.wire(timing=QUICK)
        with pytest.raises(BadVersion, match=rf"from 157 to 176, but speaks {version}") as raised:
            quick.client()
        assert "\n" not in str(raised.value)
        quick.close()
    finally:
        made.gateway.stop()


def test_a_client_id_in_use_and_a_port_without_anybody_are_said_in_a_sentence(account):
    account.gateway._taken.add(17)
    with pytest.raises(NotConnected, match=r"client id 17 must be free .* `trading\.ibkr\.client_id`"):
        account.wire().client()
    account.gateway.stop()
    with pytest.raises(NotConnected, match=r"must answer at 127\.0\.0\.1:\d+, but does not"):
        account.wire().client()
    assert isinstance(account.gateway, Gateway)
