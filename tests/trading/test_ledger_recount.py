"""Positions and P&L out of the ledger against a recount in decimals from what the broker sent, to the cent."""

import datetime as dt
from collections import defaultdict
from decimal import Decimal

import pytest
import season
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from season import DAYS

from bq.core import db
from bq.strategies.desk import Kind
from bq.trading import ledger, money, positions
from bq.trading.broker import Charged, Executed, Look
from bq.trading.intents import Action, Intent, Order, Owner
from bq.trading.ledger import Stamp
from bq.trading.positions import _whole

pytestmark = pytest.mark.usefixtures("either_database")

ACCOUNT, NAMESPACE = "DU1", "toy"
DESK = season.ToyDesk()

FILL = st.tuples(
    st.sampled_from(["A", "B"]),  # track
    st.sampled_from(["S1", "FLY"]),
    st.sampled_from([Action.OPEN, Action.CLOSE]),
    st.integers(1, 30),  # units
    st.integers(1, 4_000_000),  # price of the first leg in parts
    st.integers(0, 50_000),  # commission in parts
    st.booleans(),  # whether the price is corrected by a cent
    st.integers(0, 5),  # session
)


def write(track, symbol, action, number):
    """An intent with its order."""
    event = {"session": DAYS[0], "symbol": symbol, "source": "simulated"}
    quantity = 30 if action == Action.OPEN else -30
    intent = Intent(
        Owner(ACCOUNT, NAMESPACE, track),
        symbol,
        f"{symbol}0",
        symbol,
        action,
        DAYS[0],
        quantity,
        "real",
        event,
        DESK.legs(event),
    )
    ref = f"{track}-{symbol}-{action}-{number}"
    order = Order(ref, Kind.LIMIT, quantity, DAYS[0], season.CLOSE[DAYS[0]])
    ledger.propose([(intent, order)], Stamp(DAYS[0], season.CLOSE[DAYS[0]]))
    return ref


def sent(number, fill):
    """The executions and commissions of a fill, as a broker sends them: of the whole, of each leg, corrected."""
    track, symbol, action, units, price, fee, corrected, day = fill
    ref, side = write(track, symbol, action, number), 1 if action == Action.OPEN else -1
    legs = DESK.legs({"symbol": symbol})
    executions, charges = [], []
    for revision in (1, 2) if corrected else (1,):
        prices = [price + 100 * (revision - 1) + 500 * place for place in range(len(legs))]
        rows = [(leg.contract, leg.ratio, leg.multiplier, prices[place]) for place, leg in enumerate(legs)]
        net = sum(leg.ratio * one for leg, one in zip(legs, prices, strict=True))
        rows = [("BAG", 1, 100, net), *rows] if len(legs) > 1 else rows
        for place, (contract, ratio, multiplier, one) in enumerate(rows):
            name = f"x{number}.{place}.{revision:02d}"
            whole = contract == "BAG"
            executions.append(
                Executed(
                    name,
                    ref,
                    number,
                    whole,
                    contract,
                    side * ratio * units,
                    one,
                    multiplier,
                    DAYS[day],
                    season.CLOSE[DAYS[day]],
                )
            )
            if place == 0:
                charges.append(Charged(name, fee + 7 * (revision - 1)))
    return executions, charges


@given(st.lists(FILL, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_positions_and_pnl_equal_a_recount_to_the_cent(a_home_of_its_own, fills, random):
    with db.engine().begin() as connection:
        for table in ("order_events", "executions", "commissions", "orders", "intents", "marks"):
            connection.execute(sa.text(f"delete from {table}"))
    sent_all = [sent(number, fill) for number, fill in enumerate(fills)]
    executions = [one for pair in sent_all for one in pair[0]]
    charges = [one for pair in sent_all for one in pair[1]]
    stamp = Stamp(DAYS[5], season.CLOSE[DAYS[5]])
    for _ in range(3):  # in any order, in parts, and more than once
        random.shuffle(executions)
        some = tuple(executions[: random.randint(0, len(executions))])
        ledger.adopt(Look((), some, tuple(charges[:1]), {}, 0), [], ACCOUNT, stamp)
    ledger.adopt(Look((), tuple(executions), tuple(charges), {}, 0), [], ACCOUNT, stamp)

    owner = {ref: ref.split("-")[0] for ref in {one.order_ref for one in executions}}
    newest = {one.exec_id.rsplit(".", 1)[0]: one for one in sorted(executions, key=lambda one: one.exec_id)}
    fees = {one.exec_id.rsplit(".", 1)[0]: one for one in sorted(charges, key=lambda one: one.exec_id)}
    cash, held = defaultdict(Decimal), defaultdict(int)
    for base, one in newest.items():
        if base in fees:
            cash[owner[one.order_ref]] -= Decimal(fees[base].amount) / 10000
        if one.contract == "BAG":
            continue
        cash[owner[one.order_ref]] -= Decimal(one.quantity) * Decimal(one.price) / 10000 * one.multiplier
        held[one.contract] += one.quantity
    found = {one.owner.track: one for one in positions.accounts(ACCOUNT)}
    assert {name: money.cents(one.cash - one.commissions) for name, one in found.items()} == {
        name: amount.quantize(Decimal("0.01")) for name, amount in cash.items()
    }
    assert positions.contracts(ACCOUNT) == {name: n for name, n in held.items() if n}


def test_a_position_is_worth_its_mark_and_its_greeks_are_of_all_units():
    ref = write("A", "FLY", Action.OPEN, 1)
    legs = DESK.legs({"symbol": "FLY"})
    fills = tuple(
        Executed(
            f"f.{n}.01", ref, 1, False, leg.contract, 3 * leg.ratio, 20000 + n, 100, DAYS[0], season.CLOSE[DAYS[0]]
        )
        for n, leg in enumerate(legs)
    )
    ledger.adopt(Look((), fills, (), {}, 0), [], ACCOUNT, Stamp(DAYS[0], season.CLOSE[DAYS[0]]))
    (one,) = positions.held(ACCOUNT)
    assert (one.units, one.odd, one.entered, one.price) == (3, {}, DAYS[0], 20000 - 2 * 20001 + 20002)
    place = {"account": ACCOUNT, "namespace": NAMESPACE, "track": "A", "position": "FLY"}
    for number, value in ((0, 5_000_000), (1, 7_000_000)):
        ledger.enter_marks([{**place, "session": DAYS[number], "quantity": 3, "value": value, "quoted": True}])
    ledger.enter_marks([{**place, "session": DAYS[1], "quantity": 3, "value": 1, "quoted": True}])  # stays as it was
    assert positions.accounts(ACCOUNT)[0].value == 7_000_000
    assert positions.accounts(ACCOUNT, through=DAYS[0])[0].value == 5_000_000


def test_legs_that_are_no_whole_unit_are_odd():
    assert _whole({"a": 5, "b": -8, "c": 4}, {"a": 1, "b": -2, "c": 1}) == 4
    assert _whole({"a": 5, "b": 0, "c": 4}, {"a": 1, "b": -2, "c": 1}) == 0


def test_the_sum_of_days_is_the_whole():
    at = dt.datetime(2019, 1, 4, tzinfo=dt.UTC)
    for number, day in enumerate((DAYS[0], DAYS[2])):
        ref = write("A", "S1", Action.OPEN if number == 0 else Action.CLOSE, number)
        one = Executed(f"d{number}.01", ref, number, False, "S1", 30 - 60 * number, 100_000 + number, 1, day, at)
        ledger.adopt(Look((), (one,), (), {}, 0), [], ACCOUNT, Stamp(day, at))
    assert [positions.accounts(ACCOUNT, through=day)[0].cash for day in (DAYS[0], DAYS[1])] == [-3_000_000, -3_000_000]
    assert positions.accounts(ACCOUNT)[0].cash == 30
