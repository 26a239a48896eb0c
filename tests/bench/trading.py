"""Positions and P&L out of a long ledger, and what a day of a replay costs that trades what it decides."""

import datetime as dt
from unittest import mock

import numpy as np

from bq.core import world
from bq.jobs import replaying
from bq.strategies.desk import Kind, Leg, Right
from bq.trading import ledger, positions
from bq.trading.broker import Charged, Executed, Look
from bq.trading.intents import Action, Intent, Order, Owner, order_ref
from bq.trading.ledger import Stamp
from tests.bench import samples
from tests.bench.measure import Plan, in_turn
from tests.bench.row import Goal, Row

SECONDS = 0.5  # for 10,000 orders
A_DAY_MS = 60.0  # of a replay, without retrains
OPEN = 20  # positions that are still held
OWNER = Owner("bench", "bench", "A")
LEGS = tuple(
    Leg("FLY", n, "FLY", dt.date(2030, 1, 18), strike, Right.CALL, 100)
    for n, strike in ((1, 95.0), (-2, 100.0), (1, 105.0))
)
STAMP = Stamp(dt.date(2024, 1, 2), dt.datetime(2024, 1, 2, 21, tzinfo=dt.UTC))


def book(plan: Plan) -> Row:
    """What is held and what was made, of butterflies that were opened and, but for the last, closed."""
    n = plan.n(full=10_000, quick=2_000, tiny=60)
    with samples.home():
        _write(n)
        held, whole = in_turn(
            lambda: positions.held(*OWNER[:2]),
            lambda: (positions.held(*OWNER[:2]), positions.accounts(*OWNER[:2])),
            repeats=plan.n(full=7, quick=5, tiny=1),
        )
        found = len(positions.held(*OWNER[:2]))
    seconds = float(np.median(whole))
    return Row(
        of="both",
        n=f"{n:,} orders, {4 * n:,} executions",
        ours_seconds=seconds,
        goals=(Goal("positions and P&L", seconds, "≤", SECONDS, " s"), Goal("held", found, "≥", OPEN)),
        repeats=len(whole),
        spread=(float(whole.min()), float(whole.max())),
        notes=(f"of which the positions {np.median(held):.3f} s", "SQLite, in a home of its own"),
    )


def replayed_day(plan: Plan) -> Row:
    """A day of a replay of the default data without retrains, two tracks through ledger and dry-run broker."""
    market, days = samples.bars(), plan.n(full=750, quick=120, tiny=5)
    sessions = market.bars["session"].unique().sort()[-days:]
    spent, traded = [], []
    for _ in range(plan.n(full=2, quick=1, tiny=1)):
        with mock.patch.object(replaying.Walk, "retrain", lambda *_: None), world.own():
            made = replaying.replay(samples.strategy(), samples.settings(), market, sessions[0], sessions[-1])
        assert made.traded is not None
        spent.append(1e3 * made.seconds / made.days)
        traded.append(1e3 * made.traded.seconds / made.days)
    milliseconds = float(np.median(spent))
    return Row(
        of="a day",
        n=f"{days} sessions, {len(samples.stocks())} symbols",
        ours_seconds=milliseconds / 1e3,
        goals=(Goal("a day", milliseconds, "≤", A_DAY_MS, " ms"),),
        repeats=len(spent),
        spread=(min(spent), max(spent)),
        notes=(f"of which trading and the shadow books {np.median(traded):.0f} ms", "the rule score decides"),
    )


def _write(n: int) -> None:
    meant, fills, charged = [], [], []
    for number in range(n):
        place, action = (number // 2, (Action.OPEN, Action.CLOSE)[number % 2])
        if number >= n - OPEN:
            place, action = number, Action.OPEN
        side = 1 if action == Action.OPEN else -1
        name = f"{place:016d}"
        ref = order_ref("A", name, action, 1)
        intent = Intent(OWNER, name, name, "FLY", action, STAMP.session, side, "modelled", {"symbol": "FLY"}, LEGS)
        meant.append((intent, Order(ref, Kind.LIMIT, side, STAMP.session, STAMP.at_utc)))
        rows = [("BAG", side, 15_000), *((leg.contract, side * leg.ratio, 15_000) for leg in LEGS)]
        for leg, (contract, quantity, price) in enumerate(rows):
            whole = contract == "BAG"
            one = Executed(f"{number}.{leg}.01", ref, number, whole, contract, quantity, price, 100, *STAMP)
            fills.append(one)
        charged.append(Charged(f"{number}.0.01", 12_500))
    ledger.propose(meant, STAMP)
    for start in range(0, len(fills), 5_000):
        part = tuple(fills[start : start + 5_000])
        ledger.adopt(Look((), part, tuple(charged[start // 4 : (start + 5_000) // 4]), {}, 0), [], "bench", STAMP)
