"""A paper account end to end: the real client library, the socket protocol, a stand-in for TWS."""

import datetime as dt

import paper
import pytest
import season
from gateway.book import ACCOUNT, Listing
from paper import ALONE, HASTY, OPTIONS, SILENT, Paper
from season import DAYS, settings_of

from bq.strategies.butterfly.desk import ButterflyDesk
from bq.strategies.desk import Kind
from bq.trading import gates, ledger, positions
from bq.trading.broker import NoAnswer, Ticket
from bq.trading.ibkr.wire import Wire
from bq.trading.intents import Order

BODY, WINGS = "FLY 20211217 C 100", ("FLY 20211217 C 95", "FLY 20211217 C 105")


@pytest.fixture
def account(port):
    """An account on which nothing goes wrong."""
    made = Paper(port, settings_of(**ALONE))
    yield made
    made.gateway.stop()


def test_a_combination_is_placed_worked_filled_and_closed(account):
    made = account.run(DAYS[0], ["FLY"])
    assert [intent.quantity for one in made.entered for intent in one.made] == [4]
    (order,) = account.book.orders
    assert (order.spec.sec_type, order.kind, order.tif, order.quantity) == ("BAG", "LMT", "DAY", 4)
    assert [ratio for _, ratio, _ in order.spec.legs] == [1, 2, 1]
    account.play(DAYS[1])
    assert account.book.held == {WINGS[0]: 4, BODY: -8, WINGS[1]: 4}
    made = account.run(DAYS[1])
    assert made.reconciled.holds and [one.held.units for one in made.held] == [4]
    for number in range(2, 7):
        account.play(DAYS[number])
        made = account.run(DAYS[number])
    assert account.book.held == {} and positions.held(ACCOUNT) == []
    assert made.reconciled.holds
    account.check()
    assert len(account.book.orders) + account.gateway.ordered >= 2 and str(season.NAMESPACE) == paper.NAMESPACE


def order(account, number=0):
    """The ledger's newest order, or one before it."""
    return ledger.every(ACCOUNT, paper.NAMESPACE, newest=9)[number]


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "mute_before", "mute_after"])
def test_an_order_whose_answer_was_lost_is_sent_again_only_if_it_is_not_there(account, fault):
    account.gateway.faults.forced = {"place": [fault]}
    made = account.run(DAYS[0], ["FLY"], timing=HASTY)
    assert account.book.accepted == {order(account).order.order_ref: 1}
    assert account.gateway.ordered == (2 if fault.endswith("before") else 1)
    assert order(account).standing.state in ("sent", "working")
    assert [intent.quantity for one in made.entered for intent in one.made] == [4]
    account.play(DAYS[1])
    account.run(DAYS[1])
    account.check()


def test_a_warning_that_the_time_in_force_was_set_cancels_nothing(account):
    account.gateway.faults.forced = {"place": ["preset"]}
    account.gateway.warns = True
    account.run(DAYS[0], ["FLY"])
    account.run(DAYS[0])
    assert order(account).standing.state == "working"
    account.play(DAYS[1])
    account.run(DAYS[1])
    assert order(account).standing.state == "filled"
    account.check()


def test_a_status_that_comes_before_its_fill_counts_no_fill(account):
    account.gateway.faults.forced = {"place": ["status_first"]}
    account.run(DAYS[0], ["FLY"])
    assert (order(account).standing.state, order(account).standing.filled) == ("working", 0)


def test_an_order_that_is_refused_is_rejected_and_not_sent_again(account):
    account.gateway.faults.forced = {"place": ["reject"]}
    account.run(DAYS[0], ["FLY"])
    assert order(account).standing.state == "rejected"
    account.run(DAYS[0])
    assert account.gateway.ordered == 1 and account.book.orders == []


def test_an_order_that_is_never_filled_goes_from_the_mid_to_the_collar_and_is_cancelled(account, monkeypatch):
    account.run(DAYS[0], ["FLY"])
    (placed,) = account.book.orders
    limits = [placed.limit]
    modify = account.book.modify

    def noted(order_id, limit, trigger, quantity, *, renumbered):
        limits.append(limit)
        return modify(order_id, limit, trigger, quantity, renumbered=renumbered)

    monkeypatch.setattr(account.book, "modify", noted)
    account.book.price = lambda spec, session: 50.0 if spec.strike == 95.0 else paper.price(spec, session)
    account.play(DAYS[1])
    mid = season.ToyDesk().quote({"symbol": "FLY"}, DAYS[0]).mid
    ladder = [mid, mid + 0.2 / 3, mid + 0.4 / 3, mid + 0.2]
    assert limits == [int(limit * 100 + 1e-9) / 100 for limit in ladder]  # a buyer's tick is the one below
    assert placed.status == "Cancelled" and order(account).standing.state == "cancelled"
    assert account.book.held == {}


def test_one_order_with_two_numbers_is_one_order(account):
    account.run(DAYS[0], ["FLY"])
    account.gateway.faults.forced = {"modify": ["renumber"]}
    account.book.price = lambda spec, session: paper.price(spec, session) + (0.1 if spec.strike == 95.0 else 0.0)
    account.play(DAYS[1])
    account.run(DAYS[1])
    standing = order(account).standing
    assert len(standing.perm_ids) == 2 and (standing.state, standing.filled) == ("filled", 4)
    account.check()


def test_an_execution_without_its_name_is_attributed_by_the_number_of_its_order(account):
    account.gateway.nameless = True
    account.run(DAYS[0], ["FLY"])
    account.play(DAYS[1])
    made = account.run(DAYS[1])
    assert made.reconciled.holds and [one.held.units for one in made.held] == [4]
    account.check()


def test_what_is_filled_while_the_gateway_has_lost_its_servers_is_found_afterwards(account):
    account.run(DAYS[0], ["FLY"])
    with account.trader(DAYS[0]) as trader:
        assert trader.broker.look().executions == ()
        account.gateway.cut()
        heard(trader, 1100)
        account.book.open_session(DAYS[1], season.CLOSE[DAYS[1]] - paper.OPEN_HOURS)
        account.book.orders[0].limit = 9.0
        account.book.match()
        with pytest.raises(NoAnswer, match="lost its servers"):
            trader.broker.look()
        with pytest.raises(NoAnswer, match="lost its servers"):
            trader.broker.place(ticket())
        account.gateway.restore()
        heard(trader, 1102)
        assert len(trader.broker.look().executions) == 4
    assert account.gateway.ordered == 1
    with account.trader(DAYS[0]) as trader:
        account.gateway.cut()
        account.gateway.drop()
        for _ in range(2):  # who connects meanwhile is told so
            with pytest.raises(NoAnswer):
                trader.broker.look()


def heard(trader, code):
    """Wait until the client has heard a message that the gateway has sent."""
    while code not in trader.broker.wire._heard:
        trader.broker.wire.sleep(0.01)


@pytest.mark.parametrize("silent", ["executions", "positions", "open", "completed", "values"])
def test_without_an_answer_to_any_question_nothing_new_is_sent_and_cancellations_go_on(account, silent):
    account.run(DAYS[0], ["FLY"])
    account.gateway.silent = {silent}
    made = account.run(DAYS[0], ["GNAT"], timing=SILENT)
    assert not made.reconciled.answered
    assert {why for one in made.entered for _, why in one.refused} == {gates.Refusal.NOT_RECONCILED}
    assert account.gateway.ordered == 1
    if silent != "open":
        with account.trader(DAYS[0]) as trader:
            trader.broker.cancel(order(account, 0).order.order_ref)
        account.gateway.silent = set()
        account.run(DAYS[0])
        assert account.book.orders[0].status == "Cancelled"


def test_executions_that_the_gateway_has_forgotten_stop_new_orders(port):
    account = Paper(port, settings_of(**ALONE), keeps_days=1)
    try:
        account.run(DAYS[0], ["FLY"])
        account.play(DAYS[1], traded=False)
        account.play(DAYS[2], traded=False)
        made = account.run(DAYS[2], ["GNAT"])
        assert sorted(one.theirs - one.ours for one in made.reconciled.differences) == [-8, 4, 4]
        assert account.gateway.ordered == 1
    finally:
        account.gateway.stop()


def test_shares_and_their_stop_work_together_and_the_stop_follows_the_fill(account):
    account.run(DAYS[0], ["S1"])
    entry, stop = account.book.orders
    assert (entry.kind, entry.tif, stop.kind, stop.tif) == ("MKT", "DAY", "STP", "GTC")
    assert stop.parent_id == entry.order_id and entry.transmit and stop.transmit
    decided = season.price("S1", DAYS[0])
    assert stop.trigger == pytest.approx(decided - 1.5, abs=0.01)
    account.play(DAYS[1])
    account.run(DAYS[1])
    paid = season.price("S1", DAYS[1])
    assert stop.trigger == pytest.approx(paid - 1.5, abs=0.011)
    for number in range(2, 7):
        account.play(DAYS[number])
        account.run(DAYS[number])
    assert account.book.held == {} and stop.status in ("Cancelled", "Filled")
    account.check()


def test_a_stop_is_not_sent_where_what_it_protects_was_refused(account):
    account.gateway.faults.forced = {"place": ["reject"]}
    account.run(DAYS[0], ["S1"], timing=HASTY)
    assert account.book.orders == [] and account.gateway.ordered == 1
    account.play(DAYS[1])
    account.play(DAYS[2])
    account.run(DAYS[2])
    assert account.book.held == {}
    assert {one.standing.state for one in ledger.every(ACCOUNT, paper.NAMESPACE, newest=9)} == {"rejected", "cancelled"}


def test_an_order_between_two_parts_of_a_pair_is_held_until_both_are_there(account, monkeypatch):
    """Killed between the two: the entry is not transmitted, so that it cannot be filled without its stop."""
    sent = Wire.send

    def killed(self, ref, contract, order, *, wait):
        if order.orderType == "STP":
            raise KeyboardInterrupt
        sent(self, ref, contract, order, wait=wait)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Wire, "send", killed)
        account.run(DAYS[0], ["S1"])
    account.book.open_session(DAYS[1], season.CLOSE[DAYS[1]] - paper.OPEN_HOURS)
    assert account.book.held == {} and [one.transmit for one in account.book.orders] == [False]
    account.run(DAYS[0])
    assert account.book.held == {"S1": 4} and [one.kind for one in account.book.working()] == ["STP"]


@pytest.mark.parametrize(
    ("margin", "why"),
    [
        pytest.param("1.7976931348623157E308", gates.Refusal.MARGIN, id="not-told"),
        pytest.param("2000000.0", gates.Refusal.MARGIN, id="beyond-the-funds"),
        pytest.param("999999.0", None, id="within-them"),
    ],
)
def test_what_a_what_if_says_is_held_against_the_funds(account, margin, why):
    account.gateway.margin = margin
    made = account.run(DAYS[0], ["FLY"], timing=HASTY)
    assert [found for one in made.entered for _, found in one.refused] == ([why] if why else [])
    assert account.gateway.ordered == (0 if why else 1)


class OffTheGrid(season.ToyDesk):
    """The toy's desk, with strikes and an expiry that a model chose."""

    def legs(self, event):
        known = super().legs(event)
        if "listed" in event or len(known) == 1:
            return event.get("listed", known)
        return tuple(leg._replace(root=None, strike=leg.strike * 1.013, expiry=OFF_EXPIRY) for leg in known)

    def relisted(self, event, legs):
        return {**event, "listed": legs}


OFF_EXPIRY = dt.date(2021, 12, 15)


def test_strikes_and_expiry_of_a_model_are_snapped_to_those_that_are_listed(account):
    account.desk = OffTheGrid()
    account.run(DAYS[0], ["FLY"])
    held = order(account)
    assert [leg.contract for leg in held.legs] == [WINGS[0], BODY, WINGS[1]]
    account.play(DAYS[1])
    made = account.run(DAYS[1])
    assert made.reconciled.holds and account.book.held == {WINGS[0]: 4, BODY: -8, WINGS[1]: 4}


def test_where_nothing_alike_is_listed_nothing_is_sent(account):
    account.desk = OffTheGrid()
    account.book.listings["FLY"] = Listing(("20211217",), (95.0, 100.0))
    account.book.listings["GNAT"] = Listing(("20230120",), OPTIONS.strikes)
    made = account.run(DAYS[0], ["FLY", "GNAT"])
    assert {why for one in made.entered for _, why in one.refused} == {gates.Refusal.NOT_LISTED}
    assert account.gateway.ordered == 0


KINDS = {  # structure of an event: strikes, rights and ratios of its legs, lowest first
    "CALL": [(95.0, "C", 1), (100.0, "C", 2), (105.0, "C", 1)],
    "PUT": [(95.0, "P", 1), (100.0, "P", 2), (105.0, "P", 1)],
    "IRON": [(95.0, "P", 1), (100.0, "C", 1), (100.0, "P", 1), (105.0, "C", 1)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_structure_is_one_guaranteed_combination(account, kind):
    desk = object.__new__(ButterflyDesk)
    event = {"structure": kind, "lower": 95.4, "body": 100.4, "upper": 105.4, "symbol": "FLY", "root": None}
    event |= {"expiry": dt.date(2021, 12, 16), "dte_days": 30, "source": "modelled", "session": DAYS[0]}
    with account.trader(DAYS[0]) as trader:
        legs = trader.broker.listed(desk.legs(event))
        assert desk.legs(desk.relisted(event, legs)) == legs
        assert desk.relisted(event, legs)["dte_days"] == 31
        trader.broker.place(ticket(legs=legs))
        assert len(trader.broker.look().orders) == 1  # the answer to the order may come before the book has it
    (placed,) = account.book.orders
    specs = [account.book.by_id(con) for con, *_ in placed.spec.legs]
    told = [(spec.strike, spec.right, ratio) for spec, (_, ratio, _) in zip(specs, placed.spec.legs, strict=True)]
    assert sorted(told) == sorted(KINDS[kind])
    sides = {spec.strike: side for spec, (*_, side) in zip(specs, placed.spec.legs, strict=True)}
    assert sides == {95.0: "BUY", 100.0: "SELL", 105.0: "BUY"}
    assert placed.params == {"NonGuaranteed": "0"}


def test_a_combination_is_never_sent_without_a_limit(account):
    with account.trader(DAYS[0]) as trader, pytest.raises(NoAnswer, match="never ordered without a limit"):
        trader.broker.place(ticket(limit_price=None))
    assert account.gateway.ordered == 0


def ticket(legs=None, **changes):
    """An order to buy a combination."""
    event = {"session": DAYS[0], "symbol": "FLY", "source": "modelled"}
    known = {"limit_price": 25_000, "last_price": 27_000} | changes
    made = Order("ButterAI-fly-open-9", Kind.LIMIT, 4, DAYS[1], season.CLOSE[DAYS[1]], **known)
    return Ticket(made, legs or season.ToyDesk().legs(event), True, event)
