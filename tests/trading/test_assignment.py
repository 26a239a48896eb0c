"""What happens to option legs overnight is read off the positions, booked to their track, and alerts."""

import datetime as dt

import pytest
import season
from season import DAYS, day, settings_of

from bq.core import files
from bq.jobs import incidents, traded
from bq.monitoring import checks
from bq.strategies.desk import Leg, Right
from bq.trading import assignment, dry_run, positions, reconcile
from bq.trading.assignment import What

pytestmark = pytest.mark.usefixtures("either_database")

ACCOUNT, NAMESPACE = f"dry-run.{season.NAMESPACE}", str(season.NAMESPACE)
ALONE = {"tracks": [{"name": "ButterAI", "share": 1.0, "decides": "champion"}]}
LOW, BODY, HIGH = (f"FLY 20211217 C {strike}" for strike in (95, 100, 105))
WHOLE = {LOW: 4, BODY: -8, HIGH: 4}

CASES = {  # what the broker holds, what it is, shares, cash by the strike
    "short-calls-assigned": ({LOW: 4, HIGH: 4, "FLY": -800}, What.ASSIGNED, -800, 800 * 100.0),
    "one-of-them-assigned": ({LOW: 4, BODY: -7, HIGH: 4, "FLY": -100}, What.ASSIGNED, -100, 100 * 100.0),
    "a-long-call-exercised": ({BODY: -8, HIGH: 4, "FLY": 400}, What.EXERCISED, 400, -400 * 95.0),
}


@pytest.fixture
def holding():
    """Four butterflies are held."""
    settings = settings_of(**ALONE)
    day(DAYS[0], settings, ["FLY"])
    day(DAYS[1], settings)
    assert positions.contracts(ACCOUNT) == WHOLE
    return settings


def broker_holds(contracts):
    path = dry_run.state_file(ACCOUNT)
    files.write_json(path, {**files.read_json(path), "held": contracts})


@pytest.mark.parametrize(("there", "what", "shares", "cash"), CASES.values(), ids=CASES)
def test_an_assignment_is_booked_to_the_track_of_the_leg_at_its_strike(holding, there, what, shares, cash):
    (before,) = positions.accounts(ACCOUNT)
    broker_holds(there)
    made = day(DAYS[2], holding)
    assert [(one.what, one.shares, one.held.owner.track) for one in made.gone] == [(what, shares, "ButterAI")]
    assert made.reconciled.holds
    assert positions.contracts(ACCOUNT) == there
    (after,) = positions.accounts(ACCOUNT)
    assert (after.cash - before.cash) / 1e4 == cash
    (held,) = positions.held(ACCOUNT)
    assert held.odd["FLY"] == shares
    settings_trader = season.trader_at(DAYS[2], holding)
    told = traded.summary(made, settings_trader)
    assert str(what) in told and "holds parts of a unit" in told


def test_an_assignment_is_booked_once_and_what_it_left_is_closed_once(holding):
    broker_holds(CASES["short-calls-assigned"][0])
    made = day(DAYS[2], holding)
    assert len(made.gone) == 1
    assert {(one.legs[0].contract, one.quantity) for one in made.left} == {(LOW, -4), (HIGH, -4), ("FLY", 800)}
    again = day(DAYS[2], holding)
    assert again.gone == () and again.left == ()
    before = money()
    assert day(DAYS[3], holding).left == ()
    assert positions.contracts(ACCOUNT) == {} and positions.held(ACCOUNT) == []
    # LOW and HIGH at their mids of 4 and 2 above the toy's price less a quarter of the 0.2 that a unit pays, FLY at 98
    mid = season.price("FLY", DAYS[3]) / 10.0
    assert money() - before == pytest.approx(400 * (mid + 4.0 - 0.05) + 400 * (2.0 - 0.05) - 800 * 98.0, abs=0.05)


def money():
    return sum(one.cash for one in positions.accounts(ACCOUNT)) / 1e4


def test_what_an_assignment_left_is_worth_its_prices(holding):
    """400 of the low call, 400 of the high one, 800 shares sold short: 400 × (mid + 4) + 400 × 2 − 800 × 98."""
    broker_holds(CASES["short-calls-assigned"][0])
    day(DAYS[2], holding)
    mid = season.price("FLY", DAYS[2]) / 10.0
    (made,) = positions.accounts(ACCOUNT)
    assert made.value / 1e4 == pytest.approx(400 * (mid + 4.0) + 400 * 2.0 - 800 * 98.0, abs=0.05)


def test_of_a_position_of_which_one_leg_was_assigned_the_whole_units_stay_and_the_rest_is_closed(holding):
    broker_holds(CASES["one-of-them-assigned"][0])
    made = day(DAYS[2], holding)
    assert {(one.legs[0].contract, one.quantity) for one in made.left} == {
        (LOW, -1),
        (HIGH, -1),
        (BODY, 1),
        ("FLY", 100),
    }
    day(DAYS[3], holding)
    (held,) = positions.held(ACCOUNT)
    assert (held.units, held.odd) == (3, {})


def test_odd_legs_are_not_closed_while_the_account_does_not_agree(holding):
    broker_holds({LOW: 4, HIGH: 4, "FLY": -800, "SURPRISE": 1})
    made = day(DAYS[2], holding)
    assert made.gone and not made.reconciled.holds and made.left == ()


EXPIRY = dt.date(2019, 2, 15)
AT_EXPIRY = {  # root, spot at the open and at the close of the expiry, what came for it: shares, then cash
    "expired-worthless": ("FLY", 90.0, 94.0, 0, 0.0),
    "shares-of-the-low-call": ("FLY", 90.0, 98.0, 400, -400 * 95.0),
    "shares-of-two-legs-as-one-sum": ("FLY", 90.0, 103.0, -400, -400 * 95.0 + 800 * 100.0),
    "shares-of-all-legs-that-cancel": ("FLY", 90.0, 110.0, 0, -400 * 95.0 + 800 * 100.0 - 400 * 105.0),
    "index-by-the-close": ("SPXW", 90.0, 98.0, 0, 400 * 3.0),
    "index-by-the-open": ("SPX", 98.5, 90.0, 0, 400 * 3.5),
    "index-by-the-open-two-legs": ("SPX", 103.0, 90.0, 0, 400 * 8.0 - 800 * 3.0),
    "volatility-by-the-open": ("VIXW", 98.5, 90.0, 0, 400 * 3.5),
    "american-index-by-the-close": ("OEX", 90.0, 98.0, 0, 400 * 3.0),
    "index-worthless": ("SPX", 94.0, 110.0, 0, 0.0),
}


@pytest.fixture
def expiring(monkeypatch):
    """Four butterflies of a root are held that expire on EXPIRY; returns what trades a day."""

    def held(root, opened, closed):
        def legs(desk, event):
            ratios = ((1, 95.0), (-2, 100.0), (1, 105.0))
            return tuple(Leg("FLY", n, root, EXPIRY, strike, Right.CALL, 100) for n, strike in ratios)

        monkeypatch.setattr(season.ToyDesk, "legs", legs)
        monkeypatch.setattr(season.ToyDesk, "exit", lambda *of: None)
        monkeypatch.setattr(season, "SPOT", {(EXPIRY, True): opened, (EXPIRY, False): closed})
        settings = settings_of(**ALONE)
        day(DAYS[0], settings, ["FLY"])
        day(DAYS[1], settings)
        assert sorted(positions.contracts(ACCOUNT).values()) == [-8, 4, 4]
        return settings

    return held


@pytest.mark.parametrize(("root", "opened", "closed", "shares", "cash"), AT_EXPIRY.values(), ids=AT_EXPIRY)
def test_an_expiry_is_booked_as_the_contract_is_settled(expiring, root, opened, closed, shares, cash):
    settings = expiring(root, opened, closed)
    after = next(session for session in DAYS if session > EXPIRY)
    before = money()
    broker_holds({"FLY": shares} if shares else {})
    made = day(after, settings)
    assert made.reconciled.holds and len(made.gone) == 3
    assert positions.contracts(ACCOUNT) == ({"FLY": shares} if shares else {})
    assert money() - before == pytest.approx(cash)


@pytest.mark.parametrize(
    ("root", "closed", "there", "on"),
    [
        pytest.param("FLY", 98.0, {}, 1, id="in-the-money-and-no-share-came"),
        pytest.param("FLY", 103.0, {"FLY": 400}, 1, id="one-leg-exercised-the-short-ones-not-assigned"),
        pytest.param("SPXW", 98.0, {"FLY": 400}, 1, id="shares-of-an-index"),
        pytest.param("SPXW", None, {}, 1, id="no-price-to-settle-by"),
        pytest.param("SPXW", 94.0, {}, 0, id="gone-on-the-day-itself-though-the-close-settles-it"),
    ],
)
def test_an_expiry_that_the_price_does_not_explain_stops_new_orders(expiring, root, closed, there, on):
    settings = expiring(root, 98.0, closed)
    broker_holds(there)
    made = day(DAYS[DAYS.index(EXPIRY) + on], settings, ["S1"])
    assert made.gone == () and not made.reconciled.holds and not made.entered[0].made


def test_what_the_open_settles_may_be_gone_on_its_day(expiring):
    settings = expiring("SPX", 98.0, 90.0)
    broker_holds({})
    assert [one.what for one in day(EXPIRY, settings).gone] == [What.SETTLED, What.EXPIRED, What.EXPIRED]


def test_two_tracks_that_hold_the_same_contract_are_both_settled(expiring):
    expiring("SPXW", 90.0, 98.0)
    (one,) = positions.held(ACCOUNT)
    differences = [reconcile.Difference(leg.contract, 2 * 4 * leg.ratio, 0) for leg in one.legs]
    gone = assignment.explained(tuple(differences), [one, one], DAYS[40], lambda held, leg: 98.0 - leg.strike)
    assert [(found.contracts, found.price) for found in gone if found.price > 0] == [(4, 3.0), (4, 3.0)]
    assert len(gone) == 6


def test_an_incident_opens_an_alert_that_is_closed_when_it_is_over(holding):
    def told(session):
        incidents.alert(season.trader_at(session, holding), day(session, holding))
        return {one.kind: one.statement for one in checks.opened(season.NAMESPACE)}

    assert told(DAYS[1]) == {}
    broker_holds(CASES["short-calls-assigned"][0])
    both = told(DAYS[2])
    assert set(both) == {incidents.ODD_LEGS, incidents.OVERNIGHT}
    assert "FLY -8: assigned" in both[incidents.OVERNIGHT] and "FLY -800" in both[incidents.ODD_LEGS]
    assert set(told(DAYS[3])) == {incidents.OVERNIGHT}
    assert told(DAYS[4]) == {}
    broker_holds({"SURPRISE": 1})
    assert "SURPRISE: ledger +0, broker +1" in told(DAYS[5])[incidents.NOT_RECONCILED]


@pytest.mark.parametrize(
    "there",
    [
        pytest.param({LOW: 4, HIGH: 4}, id="a-leg-is-gone-and-no-share-came"),
        pytest.param({LOW: 4, HIGH: 4, "FLY": 800}, id="shares-on-the-wrong-side"),
        pytest.param({LOW: 4, HIGH: 4, "FLY": -300}, id="too-few-shares"),
        pytest.param({**WHOLE, "FLY": -800}, id="shares-and-no-leg-is-gone"),
        pytest.param({LOW: 6, BODY: -8, HIGH: 4}, id="more-than-was-held"),
    ],
)
def test_what_no_assignment_explains_stays_a_difference_and_stops_new_orders(holding, there):
    broker_holds(there)
    made = day(DAYS[2], holding, ["S1"])
    assert made.gone == () and not made.reconciled.holds
    assert not made.entered[0].made
