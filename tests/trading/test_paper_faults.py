"""Whatever a gateway, a connection or a night does: no order twice, none lost, both books the same to the cent."""

import os
import random
import shutil
from collections import Counter

import pytest
import season
import sqlalchemy as sa
from gateway.book import ACCOUNT, Listing
from gateway.server import Faults
from paper import ALONE, NAMESPACE, OPEN_HOURS, OPTIONS, SOON, Paper
from season import CLOSE, DAYS, settings_of

from bq.core import db
from bq.jobs import traded
from bq.trading import ledger
from bq.trading.ibkr.wire import Timing
from bq.trading.intents import Action
from bq.trading.ledger import intents, orders

FULL = bool(os.environ.get("BQ_FULL"))
RUNS = 200 if FULL else 4
CHANCES = {"place": 0.5, "modify": 0.4, "ask": 0.02}  # that something goes wrong with a message
HURRIED = Timing(answer=0.25, looks=0.0, step=0.0, per_second=0)
EVENINGS = {0: ("S1", "FLY", "NDX"), 1: ("S2", "BEE"), 2: ("GNAT", "S3")}
EXPECTED = (
    *(f"place.{kind}" for kind in Faults.KINDS["place"]),
    *(f"modify.{kind}" for kind in Faults.KINDS["modify"]),
    *("ask.drop_before", "ask.mute_before", "partial", "correction", "duplicate"),
    *("entry in part", "stop gone with the rest", "stopped out"),
    *("outage", "assigned", "exercised", "settled at the open", "settled at the close"),
)
BODY, LOW = "FLY 20211217 C 100", "FLY 20211217 C 95"
EXPIRY = DAYS[4]


class IndexDesk(season.ToyDesk):
    """As the toy's, and an index whose options expire soon. root : NDX is settled by the open, NDXP by the close."""

    def __init__(self, root):
        self.root = root

    def legs(self, event):
        known = super().legs(event)
        if event["symbol"] != "NDX":
            return known
        return tuple(leg._replace(symbol="NDX", root=self.root, expiry=EXPIRY) for leg in known)


def prepared(port, seed):
    """An account with an index listed under the root of this seed; who trades there, and what goes wrong by chance."""
    root = ("NDX", "NDXP")[seed % 2]
    account = Paper(port, settings_of(**ALONE, close_before_expiry_days=0), faults=Faults(seed, CHANCES))
    account.desk = IndexDesk(root)
    account.book.listings["NDX"] = Listing((f"{EXPIRY:%Y%m%d}",), OPTIONS.strikes, root)
    return account, root


def night(account, rng):
    """Now and then a short call is assigned, or a long one exercised; which."""
    held, drawn = account.book.held, rng.random()
    if held.get(BODY) and drawn < 0.4:
        account.book.deliver(BODY, -1, -100, 100.0)
        return "assigned"
    if held.get(LOW) and drawn < 0.7:
        account.book.deliver(LOW, 1, 100, 95.0)
        return "exercised"
    return "quiet"


def expire(account, root):
    """The index is settled in cash, by a price of 98."""
    for name in [name for name in account.book.held if name.startswith(f"{root} ")]:
        account.book.settle(name, max(98.0 - float(name.split()[-1]), 0.0))


def session(account, number, rng, root, *, timing):
    """A session and the evening after it. While the gateway has lost its servers, what is filled is not told."""
    day = DAYS[number]
    if day == EXPIRY and root == "NDX":
        expire(account, root)
    away = not account.gateway.faults.none and rng.random() < 0.3
    account.book.open_session(day, CLOSE[day] - OPEN_HOURS)
    if away:
        account.gateway.cut()
    account.run(DAYS[number - 1], timing=timing)
    account.gateway.restore()
    account.run(DAYS[number - 1], timing=timing)
    account.book.close_session(CLOSE[day])
    return away


def faulty_run(port, seed):
    """Seven days at a gateway at which things go wrong on four; what went wrong."""
    rng = random.Random(seed)
    account, root = prepared(port, seed)
    happened = Counter()
    try:
        for number in range(7):
            quiet = number >= 4
            account.gateway.faults.none = quiet
            timing = SOON if quiet else HURRIED
            if DAYS[number] == EXPIRY and root == "NDX":
                happened["settled at the open"] += any(name.startswith("NDX ") for name in account.book.held)
            if number:
                happened["outage"] += session(account, number, rng, root, timing=timing)
            made = account.run(DAYS[number], EVENINGS.get(number, ()), timing=timing)
            if number == 2:
                happened[night(account, rng)] += 1
            if DAYS[number] == EXPIRY and root == "NDXP":
                happened["settled at the close"] += any(name.startswith("NDXP") for name in account.book.held)
                expire(account, root)
        assert made.reconciled.holds, traded.differences(made.reconciled)
        assert [one.held.symbol for one in made.held if one.held.odd] == []
        account.check()
        check_orders(account)
        happened["stopped out"] += sum(one.order.kind == "STP" for one in account.book.executions)
    finally:
        account.gateway.stop()
    return happened + account.gateway.faults.drawn


def check_orders(account):
    """Every order was accepted once at most, every event opened once at most, and nothing is unknown."""
    assert [ref for ref, times in account.book.accepted.items() if times > 1] == []
    assert account.book.short == []
    assert "unknown" not in {one.standing.state for one in ledger.every(ACCOUNT, NAMESPACE, newest=99)}
    with db.engine().connect() as connection:
        query = sa.select(intents.c.event_id, sa.func.count()).join(orders, orders.c.intent_id == intents.c.intent_id)
        opened = connection.execute(query.where(intents.c.action == Action.OPEN).group_by(intents.c.event_id)).all()
        known = set(connection.execute(sa.select(orders.c.order_ref)).scalars())
    assert [event for event, times in opened if times > 1] == []
    assert set(account.book.accepted) <= known


@pytest.mark.calibration
def test_no_order_is_doubled_or_lost_whatever_goes_wrong(port, tmp_path, monkeypatch):
    happened = Counter()
    for seed in range(RUNS):
        monkeypatch.setenv("BQ_HOME", str(tmp_path / str(seed)))
        happened += faulty_run(port, seed)
        db.close()
        shutil.rmtree(tmp_path / str(seed))
    print(RUNS, "runs:", dict(sorted(happened.items())))
    assert sum(n for kind, n in happened.items() if kind.startswith(("place.", "modify."))) > 2 * RUNS
    if FULL:
        assert all(happened[kind] > RUNS // 20 for kind in EXPECTED), happened
