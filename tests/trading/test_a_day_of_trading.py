"""From decisions to fills and back, day by day, at the dry-run broker."""

import datetime as dt
import json

import polars as pl
import pytest
import season
import sqlalchemy as sa
from season import DAYS, NONE, day, settings_of, trader_at

from bq.core import db, files
from bq.core.errors import BadParameters
from bq.core.settings import DryRun as Faults
from bq.strategies.task import Task
from bq.trading import daily, dry_run, gates, ledger, positions, tracks
from bq.trading.gates import Refusal
from bq.trading.intents import Action
from bq.trading.ledger import executions, intents, orders, track_decisions

pytestmark = pytest.mark.usefixtures("either_database")

ACCOUNT, NAMESPACE = f"dry-run.{season.NAMESPACE}", str(season.NAMESPACE)
ALONE = {"tracks": [{"name": "ButterAI", "share": 1.0, "decides": "champion"}]}


def held():
    return {one.symbol: one.units for one in positions.held(ACCOUNT, NAMESPACE)}


def rows(table, *conditions):
    with db.engine().connect() as connection:
        return connection.execute(sa.select(table).where(*conditions)).all()


def test_a_decision_is_ordered_filled_in_the_next_session_held_and_left():
    settings = settings_of(**ALONE)
    made = day(DAYS[0], settings, ["S1", "FLY"])
    assert [intent.symbol for intent in made.entered[0].made] == ["S1", "FLY"]
    assert held() == {}
    day(DAYS[1], settings)
    assert held() == {"S1": 4, "FLY": 4}
    left = {}
    for session in DAYS[2:9]:
        left |= {intent.symbol: session for intent in day(session, settings).left}
    assert held() == {}
    assert set(left) <= {"S1", "FLY"} and left["FLY"] == DAYS[5]
    (made,) = positions.accounts(ACCOUNT, NAMESPACE)
    fees = {"FLY": 2 * 1.25, "S1": 2 * 1.0}
    assert made.commissions == sum(fees.values()) * 1e4
    bought, sold = (season.price("FLY", session) / 10.0 for session in (DAYS[1], DAYS[6]))
    fly = round(4 * 100 * ((sold - 0.2) - (bought + 0.2)), 2)
    cash = sum(
        -row.quantity * row.price * row.multiplier for row in rows(executions, executions.c.contract.startswith("FLY"))
    )
    assert cash / 1e4 == pytest.approx(fly, abs=0.05)


def test_a_stop_closes_a_position_and_cancels_what_would_close_it_again():
    settings = settings_of(**ALONE)
    fallen = next(
        n for n in range(len(DAYS) - 6) if season.price("S1", DAYS[n + 4]) < season.price("S1", DAYS[n + 1]) - 1.5
    )
    day(DAYS[fallen], settings, ["S1"])
    for session in DAYS[fallen + 1 : fallen + 9]:
        day(session, settings)
    sold = rows(executions, executions.c.quantity < 0)
    assert [(row.quantity, row.price) for row in sold] == [
        (-4, round(1e4 * (season.price("S1", DAYS[fallen + 1]) - 1.5)))
    ]
    assert held() == {}


def test_running_a_day_twice_changes_nothing():
    settings = settings_of(**ALONE)
    scan = season.scanned(DAYS[0], ["S1", "FLY"])
    tables = (intents, orders, executions, track_decisions)
    counts = []
    for _ in range(3):
        daily.trade(trader_at(DAYS[0], settings), scan, lambda: season.events(DAYS[0], ["S1", "FLY"]))
        counts.append([len(rows(table)) for table in tables])
    assert counts[0] == counts[1] == counts[2] == [3, 3, 0, 2]


def test_without_a_champion_its_track_opens_nothing_and_says_so_and_the_rule_s_does():
    made = day(DAYS[0], settings_of(), [f"S{n}" for n in range(12)], tier=3)
    by_track = {one.track: one for one in made.entered}
    assert not by_track["ButterAI"].answered and not by_track["ButterAI"].made
    assert by_track["ButterBaseline"].answered and by_track["ButterBaseline"].made


def test_a_track_trades_the_symbols_that_are_its_own_and_records_what_it_would_do_with_all():
    symbols = [f"S{n}" for n in range(20)]
    settings = settings_of()
    made = day(DAYS[0], settings, symbols)
    whose = {s: tracks.assigned(settings.trading.tracks, seed=7, symbol=s, day=DAYS[0]) for s in symbols}
    opened = {one.track: {intent.symbol for intent in one.made} for one in made.entered}
    refused = {one.track: {intent.symbol for intent, _ in one.refused} for one in made.entered}
    for track in ("ButterAI", "ButterBaseline"):
        assert opened[track] | refused[track] == {s for s, name in whose.items() if name == track} - (
            {s for n, s in enumerate(symbols) if n > 10} if track == "ButterBaseline" else set()
        )  # the rule trades scores of 50 and above
    known = rows(track_decisions)
    assert len(known) == 40 and sum(row.assigned for row in known) == 20


def test_a_partial_fill_is_kept_as_a_smaller_position_and_the_rest_is_cancelled():
    settings = settings_of(**ALONE)
    day(DAYS[0], settings, ["FLY"], faults=NONE.model_copy(update={"partial_fills": 1.0}))
    day(DAYS[1], settings, faults=NONE.model_copy(update={"partial_fills": 1.0}))
    assert held() == {"FLY": 2}
    (one,) = ledger.every(ACCOUNT, NAMESPACE, newest=9)
    assert (one.standing.state, one.standing.filled, one.standing.remaining) == ("cancelled", 2, 2)


def test_what_is_left_of_a_closing_order_is_ordered_again_and_no_more():
    settings = settings_of(**ALONE)
    half = NONE.model_copy(update={"partial_fills": 1.0})
    day(DAYS[0], settings, ["FLY"])
    for session in DAYS[1:10]:
        day(session, settings, faults=NONE if session == DAYS[1] else half)
    assert held() == {}
    closing = rows(orders, orders.c.order_ref.contains("close"))
    assert sorted(row.quantity for row in closing) == [-4, -2, -1]
    whole = rows(executions, executions.c.whole)
    assert sum(row.quantity for row in whole) == 0


def test_the_kill_switch_stops_every_send_and_lets_cancellations_pass():
    settings = settings_of(**ALONE)
    day(DAYS[0], settings, ["FLY"])
    files.write_text(gates.switch(), "stop")
    made = day(DAYS[1], settings, ["S1"])
    assert made.stopped and not made.entered[0].made
    assert [why for _, why in made.entered[0].refused] == [Refusal.STOPPED]
    assert held() == {}, "the limit stays at the mid and is cancelled at its time"
    (one,) = ledger.every(ACCOUNT, NAMESPACE, newest=1)
    assert one.standing.state == "cancelled"
    gates.switch().unlink()
    assert day(DAYS[2], settings, ["S1"]).entered[0].made


@pytest.mark.parametrize("minutes", [0, 61], ids=["in-time", "too-late"])
def test_decisions_are_not_sent_after_the_entry_window_of_the_next_session(minutes):
    opens = dt.datetime(2019, 1, 3, 14, 30, tzinfo=dt.UTC)
    made = day(DAYS[0], settings_of(**ALONE), ["S1"], now=opens + dt.timedelta(minutes=minutes))
    assert [why for _, why in made.entered[0].refused] == ([] if minutes == 0 else [Refusal.TOO_LATE])


def test_a_scan_of_an_earlier_session_opens_nothing():
    scan = season.scanned(DAYS[0], ["S1"])
    made = daily.trade(trader_at(DAYS[1], settings_of(**ALONE)), scan, lambda: season.events(DAYS[0], ["S1"]))
    assert made.scan is None and made.entered == ()


def test_a_scan_that_does_not_count_opens_nothing_and_says_why():
    scan = season.scanned(DAYS[0], ["S1"])._replace(counts=False)
    made = daily.trade(trader_at(DAYS[0], settings_of(**ALONE)), scan, lambda: season.events(DAYS[0], ["S1"]))
    assert [why for _, why in made.entered[0].refused] == [Refusal.NOT_COUNTED]


def test_any_number_of_tracks_records_what_it_would_do_with_every_opportunity():
    names = [f"T{n}" for n in range(5)]
    symbols = [f"S{n}" for n in range(20)]
    shares = [{"name": name, "share": 0.2, "decides": ("champion", "rule")[n % 2]} for n, name in enumerate(names)]
    day(DAYS[0], settings_of(tracks=shares), symbols)
    known = rows(track_decisions)
    asked = {(row.track, row.event_id): row for row in known}
    assert asked.keys() == {(name, season.event_id(symbol, DAYS[0])) for name in names for symbol in symbols}
    assert sum(row.assigned for row in known) == 20 and all(row.should_trade is not None for row in known)


def test_a_track_with_weights_of_its_own_decides_by_them_and_the_others_as_before(monkeypatch):
    def scored(desk, events, weights):
        return pl.Series([weights["own"] if symbol == "S1" else 0.0 for symbol in events["symbol"]])

    monkeypatch.setattr(season.ToyDesk, "scored", scored)
    own = [{"name": "A", "share": 0.5, "decides": "rule"}]
    own += [{"name": "B", "share": 0.5, "decides": "rule", "weights": {"own": 0.9}}]
    settings = settings_of(tracks=own)
    monkeypatch.setattr(
        season.STRATEGY, "task", lambda settings: Task(("n", "y"), (0.0,), outcome="x", trade_score=0.5)
    )
    day(DAYS[0], settings, ["S1", "S2"])
    would = {(row.track, row.event_id[:2]): row.should_trade for row in rows(track_decisions)}
    assert would == {("A", "s1"): True, ("A", "s2"): True, ("B", "s1"): True, ("B", "s2"): False}


def test_a_position_that_the_ledger_does_not_know_stops_new_orders_and_is_told():
    settings = settings_of(**ALONE)
    day(DAYS[0], settings)
    path = dry_run.state_file(ACCOUNT)
    files.write_json(path, {**files.read_json(path), "held": {"SURPRISE": 7}})
    made = day(DAYS[1], settings, ["S1"])
    assert made.reconciled.differences == (("SURPRISE", 0, 7),)
    assert [why for _, why in made.entered[0].refused] == [Refusal.NOT_RECONCILED]


def test_a_broker_that_does_not_answer_stops_new_orders():
    made = day(DAYS[0], settings_of(**ALONE), ["S1"], faults=NONE.model_copy(update={"lost_answers": 1.0}))
    assert not made.reconciled.answered
    assert [why for _, why in made.entered[0].refused] == [Refusal.NOT_RECONCILED]


def test_a_track_s_name_is_of_one_namespace_on_an_account():
    day(DAYS[0], settings_of(**ALONE), ["S1"])
    tracks.refuse_taken(["ButterAI"], account=ACCOUNT, namespace=NAMESPACE)
    tracks.refuse_taken(["Other"], account=ACCOUNT, namespace="toy.mine-simulated")
    with pytest.raises(BadParameters, match="'ButterAI' trades there for toy-simulated"):
        tracks.refuse_taken(["ButterAI"], account=ACCOUNT, namespace="toy.mine-simulated")


def test_an_event_goes_through_the_ledger_as_it_was():
    day(DAYS[0], settings_of(**ALONE), ["S1"])
    one = next(one for one in ledger.opened(ACCOUNT) if one.action == Action.OPEN)
    assert one.event == {"session": DAYS[0], "symbol": "S1", "source": "simulated"}
    assert json.loads(json.dumps(rows(intents)[0].event)) == rows(intents)[0].event


def test_a_lost_limit_is_one_of_an_account_and_a_track():
    settings = settings_of(**ALONE, max_positions=1)
    made = day(DAYS[0], settings, ["S1", "S2"])
    assert [why for _, why in made.entered[0].refused] == [Refusal.TOO_MANY_POSITIONS]


def test_a_champion_of_a_simulated_market_never_leaves_the_dry_run_broker():
    trader = trader_at(DAYS[0], settings_of(**ALONE))

    class Real:
        real, paper = True, True

        def __getattr__(self, name):
            return getattr(trader.broker, name)

    scan = season.scanned(DAYS[0], ["S1"])
    made = daily.trade(trader._replace(broker=Real()), scan, lambda: season.events(DAYS[0], ["S1"]))
    assert [why for _, why in made.entered[0].refused] == [Refusal.SIMULATED]


def test_a_call_that_was_lost_is_made_again_in_the_same_run():
    settings, lost = settings_of(**ALONE), 0
    for seed in range(12):
        symbol = f"S{seed}"
        faults = Faults(seed=seed, partial_fills=0.0, rejects=0.0, lost_answers=0.3)
        day(DAYS[seed], settings, [symbol], faults=faults)
        said = rows(ledger.order_events, ledger.order_events.c.order_ref.startswith(f"ButterAI-s{seed}2019"))
        lost += any(row.said == "absent" for row in said)
    assert lost >= 2
    again = [one for one in ledger.every(ACCOUNT, NAMESPACE, newest=99) if one.standing.sendings > 1]
    assert again and all(one.standing.sendings == 2 for one in again)


def test_what_a_broker_takes_of_one_contract_and_side_counts_stops_too(monkeypatch):
    settings = settings_of(**ALONE)
    monkeypatch.setattr(gates, "MOST", 0)
    made = day(DAYS[0], settings, ["S1"])
    assert [why for _, why in made.entered[0].refused] == [Refusal.CONTRACT_ORDERS]
    monkeypatch.setattr(gates, "MOST", 1)
    day(DAYS[1], settings, ["STOCK"])  # a purchase and the stop that sells: one on each side
    for session in DAYS[2:7]:
        day(session, settings)
    (refused,) = rows(intents, intents.c.symbol == "STOCK", intents.c.refusal.is_not(None))
    assert (refused.refusal, refused.reason, refused.session) == ("contract_orders", "horizon", DAYS[6])
    monkeypatch.setattr(gates, "MOST", 2)
    day(DAYS[6], settings)
    day(DAYS[7], settings)
    assert held() == {}
