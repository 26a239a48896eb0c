"""A protective stop is for exactly what is held, whatever became of its entry: never for more, never for less."""

import paper
import pytest
import season
from gateway.book import ACCOUNT
from paper import ALONE, HASTY, Paper
from season import CLOSE, DAYS, day, settings_of

from bq.core import files
from bq.core.settings import DryRun as Faults
from bq.strategies.desk import Kind
from bq.trading import curve, dry_run, gates, ledger, positions
from bq.trading.ibkr.wire import Wire

DRY, NAMESPACE = f"dry-run.{season.NAMESPACE}", str(season.NAMESPACE)
PAID = season.price("S1", DAYS[1])  # 27.49; the toy's stop is 1.50 below what was paid
FOURTH = season.price("S1", DAYS[4])  # 25.88: the first close below 25.99


class Partly(Paper):
    """An account at which entries are filled by half, and the rest ends with the day."""

    def __init__(self, port, *, gone=False):
        super().__init__(port, settings_of(**ALONE))
        self.book.partial = lambda order: order.kind == "MKT"
        self.book.with_its_rest = lambda order: gone
        self.did = []
        for name in ("accept", "modify", "cancel"):
            setattr(self.book, name, self._noted(name, getattr(self.book, name)))

    def _noted(self, name, call):
        def noted(*args, **options):
            made = call(*args, **options)
            self.did.append((name, *((args[0].ref,) if name == "accept" else (made and made.quantity,))))
            return made

        return noted

    def half(self, **timing):
        """S1 is decided on, and half of it is filled in the session after."""
        self.run(DAYS[0], ["S1"])
        self.play(DAYS[1], traded=False)
        assert self.book.held == {"S1": 2}

    @property
    def stops(self):
        """Units and trigger of each stop that works."""
        return [(one.quantity - one.filled, one.trigger) for one in self.book.working() if one.kind == "STP"]


@pytest.fixture
def account(port):
    made = Partly(port)
    yield made
    made.gateway.stop()


def stops_of(account, namespace=NAMESPACE):
    return [one for one in ledger.every(account, namespace, newest=99) if one.order.kind == Kind.STOP]


def test_it_is_cut_to_what_was_filled_before_anything_else_is_sent(account):
    account.half()
    account.did.clear()
    made = account.run(DAYS[1], ["S2"])
    assert account.did[0] == ("modify", 2) and account.did[-1][0] == "accept"
    assert account.stops[0] == (2, pytest.approx(PAID - 1.5, abs=0.01))
    assert made.reconciled.holds and [one.held.units for one in made.held] == [2]
    account.did.clear()
    account.run(DAYS[1])
    assert account.did == []


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "mute_before", "mute_after", "renumber"])
def test_a_change_whose_answer_is_lost_is_made_once_and_is_of_one_order(account, fault):
    account.half()
    account.gateway.faults.forced = {"modify": [fault]}
    made = account.run(DAYS[1], timing=HASTY)
    assert account.stops == [(2, pytest.approx(PAID - 1.5, abs=0.01))] and made.reconciled.holds
    (stop,) = stops_of(ACCOUNT)
    assert (stop.standing.asked, len(stop.standing.perm_ids)) == (2, 2 if fault == "renumber" else 1)
    for number in (2, 3, 4):
        account.play(DAYS[number])
        account.run(DAYS[number])
    assert account.book.held == {} and account.book.short == []  # it sold the two
    (stop,) = stops_of(ACCOUNT)
    assert (stop.standing.state, stop.standing.filled, stop.standing.contradictory) == ("filled", 2, False)
    account.check()


def test_a_run_that_dies_before_the_change_leaves_it_to_the_next(account, monkeypatch):
    def dies(*_, **__):
        raise KeyboardInterrupt

    account.half()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Wire, "send", dies)
        account.run(DAYS[1])
    assert account.stops[0][0] == 4
    account.run(DAYS[1], ["S2"])
    assert account.stops[0][0] == 2 and account.book.short == []


def test_while_its_entry_works_it_follows_what_is_filled_so_far(account):
    account.run(DAYS[0], ["S1"])
    account.book.open_session(DAYS[1], CLOSE[DAYS[1]] - paper.OPEN_HOURS)
    account.run(DAYS[0])
    assert account.book.held == {"S1": 2} and account.stops[0][0] == 2
    entry = account.book.orders[0]
    account.book.fill(entry, 2)
    account.run(DAYS[0])
    assert account.book.held == {"S1": 4} and account.stops[0][0] == 4
    account.check()


def test_what_is_left_of_one_that_sold_all_there_was_is_cancelled(account):
    account.run(DAYS[0], ["S1"])
    account.book.open_session(DAYS[1], CLOSE[DAYS[1]] - paper.OPEN_HOURS)
    entry, stop = account.book.orders
    stop.trigger = 99.0
    account.book.match()
    assert account.book.held == {} and account.stops == [(2, 99.0)]
    account.book.close_session(CLOSE[DAYS[1]])
    account.run(DAYS[1])
    assert account.stops == [] and (entry.status, stop.status) == ("Cancelled", "Cancelled")
    account.play(DAYS[2])
    assert account.book.short == []
    account.check()


def test_where_the_broker_cancelled_it_with_the_rest_another_one_is_sent(port):
    account = Partly(port, gone=True)
    try:
        account.half()
        assert account.stops == []
        made = account.run(DAYS[1])
        assert account.stops == [(2, pytest.approx(PAID - 1.5, abs=0.01))] and made.reconciled.holds
        account.run(DAYS[1])
        assert len(account.stops) == 1 and len(stops_of(ACCOUNT)) == 2
    finally:
        account.gateway.stop()


def test_one_for_more_than_is_held_stops_new_orders_while_it_cannot_be_changed(account):
    account.half()
    gates.switch().parent.mkdir(parents=True, exist_ok=True)
    files.write_text(gates.switch(), "")
    made = account.run(DAYS[1])
    assert made.reconciled.excessive == (stops_of(ACCOUNT)[0].order.order_ref,) and not made.reconciled.holds
    gates.switch().unlink()
    assert account.run(DAYS[1]).reconciled.holds


class SplitDesk(season.ToyDesk):
    """S1 is split two for one on the third day: its price is half of what it was."""

    def split(self, symbol, session):
        return 2.0 if (symbol, session) == ("S1", DAYS[2]) else 1.0

    def quote(self, event, session):
        quote = super().quote(event, session)
        halved = event["symbol"] == "S1" and session >= DAYS[2]
        return quote._replace(mid=quote.mid / 2, legs=(quote.legs[0] / 2,)) if halved else quote


def test_a_split_at_a_broker_that_cancels_orders_is_booked_and_the_position_is_protected_anew(port):
    account = Paper(port, settings_of(**ALONE))
    account.desk = SplitDesk()
    account.book.price = lambda spec, session: paper.price(spec, session) / (2 if session >= DAYS[2] else 1)
    try:
        account.run(DAYS[0], ["S1"])
        account.play(DAYS[1])
        account.run(DAYS[1])
        account.book.split("S1", 2.0)
        account.play(DAYS[2], traded=False)
        made = account.run(DAYS[2])
        assert made.reconciled.holds and [one.shares for one in made.split] == [4]
        (stop,) = [one for one in account.book.working() if one.kind == "STP"]
        assert (stop.quantity, stop.trigger) == (8, pytest.approx(PAID / 2 - 0.75, abs=0.01))
        (held,) = positions.held(ACCOUNT, NAMESPACE)
        assert (held.units, held.price / 1e4) == (8, pytest.approx(PAID / 2, abs=1e-4))
        for number in (3, 4):
            account.play(DAYS[number])
            account.run(DAYS[number])
        assert account.book.held == {} and account.book.short == []
        (total,) = positions.accounts(ACCOUNT, NAMESPACE)
        assert total.pnl / 1e4 == pytest.approx(8 * FOURTH / 2 - 4 * PAID - 2.0, abs=0.01)  # sold in the fourth session
        account.check()
    finally:
        account.gateway.stop()


# ---- at the dry-run broker


def dry(seed, last, **faults):
    """S1 at a dry-run broker that fills entries by half, day by day; P&L after the last day."""
    settings, chances = settings_of(**ALONE), {"partial_fills": 1.0, "rejects": 0.0, "lost_answers": 0.0, **faults}
    for number in range(last + 1):
        made = day(DAYS[number], settings, ["S1"] if not number else (), faults=Faults(seed=seed, **chances))
        assert made.reconciled.holds
        yield files.read_json(dry_run.state_file(DRY))
    yield curve.running(DRY, NAMESPACE)["pnl"][-1]


@pytest.mark.parametrize("seed", [1, 3], ids=["stop-stays-whole", "stop-goes-with-the-rest"])
def test_at_the_dry_run_broker_it_sells_what_half_an_entry_bought(seed):
    *states, made = dry(seed, 4)
    working = [one for one in states[1]["orders"] if one["status"] == "working"]
    assert [(one["kind"], one["quantity"], one["trigger"] / 1e4) for one in working] == [
        ("stop", -2, pytest.approx(PAID - 1.5, abs=1e-4))
    ]
    assert [state["held"] for state in states] == [{}, {"S1": 2}, {"S1": 2}, {"S1": 2}, {}]
    assert len(stops_of(DRY)) == (1 if seed == 1 else 2)
    assert made == pytest.approx(
        2 * -1.5 - 0.5 - 1.0, abs=0.01
    )  # two shares lose the distance; a fee by halves, and one
