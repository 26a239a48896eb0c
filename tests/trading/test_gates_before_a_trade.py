"""Each gate refuses by its own fact alone, and doubt refuses."""

import datetime as dt

import pytest

from bq.core import files
from bq.jobs.traded import WHY
from bq.strategies.desk import Limits, Quote
from bq.trading import gates
from bq.trading.gates import Facts, Refusal, Rules

NOW = dt.datetime(2024, 1, 3, 14, tzinfo=dt.UTC)
DAY = dt.date(2024, 1, 2)
NAN = float("nan")
GOOD = Facts(
    stopped=False,
    reconciled=True,
    counts=True,
    simulated=False,
    real=True,
    paper=True,
    now=NOW,
    until=NOW,
    closes=False,
    allowed=True,
    held=False,
    positions=2,
    track_loss=100.0,
    account_loss=300.0,
    track_orders=4,
    account_orders=9,
    contract_orders=20,
    quote=Quote(1.0, 0.1, (1.0,), True),
    quote_session=DAY,
    session=DAY,
    limits=Limits(1.0, 1.1),
    quantity=1,
    days_to_expiry=2,
    earnings=False,
    ex_dividend=False,
    listed=True,
    margin=50.0,
    available=50.0,
)
RULES = Rules(
    track_loss=100.0, account_loss=300.0, track_orders=5, account_orders=10, positions=3, close_before_expiry_days=2
)

CASES = {
    "kill-switch": (Refusal.STOPPED, {"stopped": True}),
    "not-reconciled": (Refusal.NOT_RECONCILED, {"reconciled": False}),
    "simulated-at-a-real-broker": (Refusal.SIMULATED, {"simulated": True}),
    "a-live-account": (Refusal.NOT_PAPER, {"paper": False}),
    "an-account-of-no-known-kind": (Refusal.NOT_PAPER, {"paper": None}),
    "after-the-window": (Refusal.TOO_LATE, {"now": NOW + dt.timedelta(seconds=1)}),
    "a-scan-that-does-not-count": (Refusal.NOT_COUNTED, {"counts": False}),
    "no-next-session": (Refusal.NO_NEXT_SESSION, {"until": None}),
    "another-symbol": (Refusal.NOT_ALLOWED, {"allowed": False}),
    "held-already": (Refusal.ALREADY_HELD, {"held": True}),
    "as-many-as-may-be": (Refusal.TOO_MANY_POSITIONS, {"positions": 3}),
    "track-lost-more": (Refusal.TRACK_LOSS, {"track_loss": 100.01}),
    "track-s-loss-not-known": (Refusal.TRACK_LOSS, {"track_loss": None}),
    "track-s-loss-no-number": (Refusal.TRACK_LOSS, {"track_loss": NAN}),
    "account-lost-more": (Refusal.ACCOUNT_LOSS, {"account_loss": 300.01}),
    "account-s-loss-not-known": (Refusal.ACCOUNT_LOSS, {"account_loss": None}),
    "track-s-orders": (Refusal.TRACK_ORDERS, {"track_orders": 5}),
    "account-s-orders": (Refusal.ACCOUNT_ORDERS, {"account_orders": 10}),
    "one-contract-s-orders": (Refusal.CONTRACT_ORDERS, {"contract_orders": 21}),
    "no-quote": (Refusal.NO_QUOTE, {"quote": None}),
    "a-quote-that-is-no-number": (Refusal.NO_QUOTE, {"quote": Quote(NAN, 0.1, (NAN,), True)}),
    "a-quote-of-yesterday": (Refusal.OLD_QUOTE, {"quote_session": DAY - dt.timedelta(days=1)}),
    "a-quote-of-no-known-day": (Refusal.OLD_QUOTE, {"quote_session": None}),
    "no-price-in-the-collar": (Refusal.OUTSIDE_COLLAR, {"limits": None}),
    "a-collar-that-is-no-number": (Refusal.OUTSIDE_COLLAR, {"limits": Limits(1.0, NAN)}),
    "not-one-unit": (Refusal.TOO_SMALL, {"quantity": 0}),
    "expires-tomorrow": (Refusal.NEAR_EXPIRY, {"days_to_expiry": 1}),
    "earnings-while-it-is-held": (Refusal.EARNINGS, {"earnings": True}),
    "a-dividend-while-a-call-is-short": (Refusal.EX_DIVIDEND, {"ex_dividend": True}),
    "no-such-contracts": (Refusal.NOT_LISTED, {"listed": False}),
    "more-margin-than-funds": (Refusal.MARGIN, {"margin": 50.01}),
    "margin-not-known": (Refusal.MARGIN, {"margin": None}),
    "funds-not-known": (Refusal.MARGIN, {"available": None}),
    "funds-no-number": (Refusal.MARGIN, {"available": NAN}),
}


def test_what_keeps_every_limit_passes():
    assert gates.refusal(GOOD, RULES) is None


def test_what_sets_funds_free_is_not_refused_for_want_of_them():
    assert gates.refusal(GOOD._replace(margin=0.0, available=-1.0), RULES) is None
    assert gates.freed(-3, GOOD.quote) == -3.0 and gates.freed(3, GOOD.quote) == 0.0 == gates.freed(-3, None)


@pytest.mark.parametrize("why", [Refusal.TRACK_LOSS, Refusal.ACCOUNT_LOSS, Refusal.NOT_ALLOWED])
def test_limits_on_what_is_opened_hold_back_no_sale_of_a_rebalance(why):
    """A book that has lost too much today, or whose symbol is no longer wanted, may still be made smaller."""
    facts = next(facts for refusal, facts in CASES.values() if refusal is why)
    assert gates.refusal(GOOD._replace(**facts), RULES) is why
    assert gates.refusal(GOOD._replace(closes=True, **facts), RULES) is None


@pytest.mark.parametrize(("why", "facts"), CASES.values(), ids=CASES)
def test_a_gate_refuses_by_its_own_fact_alone(why, facts):
    assert gates.refusal(GOOD._replace(**facts), RULES) is why


def test_every_refusal_has_a_gate_a_case_and_words():
    assert set(Refusal) == set(gates.ASKED) == {why for why, _ in CASES.values()} == set(WHY)


@pytest.mark.parametrize("kind", ["file", "folder", "dangling-link"])
def test_whatever_lies_where_the_switch_is_stops(a_home_of_its_own, kind):
    assert not gates.stopped()
    path = gates.switch()
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        files.write_text(path, "")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    assert gates.stopped()
