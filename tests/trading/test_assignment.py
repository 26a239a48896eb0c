"""What happens to option legs overnight is read off the positions, booked to their track, and alerts."""

import pytest
import season
from season import DAYS, day, settings_of

from bq.core import files
from bq.jobs import traded
from bq.trading import dry_run, positions
from bq.trading.assignment import What

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


def test_an_assignment_is_booked_once(holding):
    broker_holds(CASES["short-calls-assigned"][0])
    assert len(day(DAYS[2], holding).gone) == 1
    assert day(DAYS[2], holding).gone == ()


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
