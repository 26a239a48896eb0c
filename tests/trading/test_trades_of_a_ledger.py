"""Positions of a ledger as trades, and tracks compared by a ledger's own rows."""

import datetime as dt
from types import SimpleNamespace

import polars as pl
import pytest
import season
import sqlalchemy as sa
from season import CLOSE, DAYS, NAMESPACE, NONE, day, settings_of

from bq.core import db
from bq.core.settings import DryRun as Faults
from bq.monitoring import compared, draws
from bq.monitoring.compared import Subject, Without
from bq.strategies.task import Task
from bq.trading import curve, positions, trades
from bq.trading.comparison import Question
from bq.trading.money import PARTS

pytestmark = pytest.mark.usefixtures("either_database")

ACCOUNT = f"dry-run.{NAMESPACE}"
MONDAY = DAYS[0] - dt.timedelta(days=DAYS[0].weekday())
SYMBOLS = ["F1", "F2", "F3"]
RULE = {"tracks": [{"name": "Rule", "share": 1.0, "decides": "rule"}]}
BOTH = {
    "tracks": [
        {"name": "Model", "share": 0.6, "decides": "champion"},
        {"name": "Rule", "share": 0.4, "decides": "rule"},
    ]
}
STRATEGY = SimpleNamespace(name="toy", task=lambda settings: Task(("no", "yes"), (0.0,), outcome="x", trade_score=50.0))


def walk(sessions, chosen, *, every=4, faults=NONE, tier=1):
    """Trade so many days, deciding on all symbols every fourth."""
    settings = settings_of(**chosen)
    for n in range(sessions):
        day(DAYS[n], settings, SYMBOLS if n % every == 0 else (), tier=tier, faults=faults)
    return settings


def made():
    return trades.of(ACCOUNT, str(NAMESPACE))


def test_what_trades_and_open_positions_made_is_what_the_account_made():
    walk(12, RULE, faults=Faults(partial_fills=0.4, rejects=0.2, lost_answers=0.2))
    found, (account,) = made(), positions.accounts(ACCOUNT, str(NAMESPACE))
    closed, still = found.filter(pl.col("pnl").is_not_null()), found.filter(pl.col("pnl").is_null())
    held = {one.position for one in positions.held(ACCOUNT, str(NAMESPACE))}
    assert len(closed) > 1 and set(still["event_id"]) == held
    assert found["fees"].sum() == pytest.approx(account.commissions / PARTS)
    with db.engine().connect() as connection:
        moved = connection.execute(sa.select(positions.VIEW.c.position, positions.VIEW.c.cash)).all()
    cash = sum(int(row.cash) for row in moved if row.position not in held) / PARTS
    assert closed["pnl"].sum() == pytest.approx(cash - closed["fees"].sum())
    assert found["turnover"].sum() == pytest.approx(sum(abs(int(row.cash)) for row in moved) / PARTS, rel=0.5)


def test_a_trade_says_when_it_was_decided_opened_and_closed_and_what_its_filled_units_risked():
    walk(8, RULE, every=99)
    found = made().row(0, named=True)
    assert (found["decided"], found["opened"], found["closed"]) == (DAYS[0], DAYS[1], DAYS[6])
    assert found["risk"] == 4 * 100.0 and found["track"] == "Rule"
    half = made().filter(pl.col("risk") < 400.0)
    assert half.is_empty()


def test_units_that_were_not_filled_risked_nothing():
    walk(2, RULE, every=99, faults=Faults(partial_fills=1.0, rejects=0.0, lost_answers=0.0))
    found = made()
    assert found["risk"].to_list() == [200.0] * len(found) and found["closed"].null_count() == len(found)


def test_results_since_a_session_are_those_of_positions_that_were_decided_from_then_on():
    walk(12, RULE)
    begun, whole = DAYS[7], curve.running(ACCOUNT, str(NAMESPACE))
    later = curve.running(ACCOUNT, str(NAMESPACE), since=begun)
    assert later["session"].min() > begun and whole["session"].min() < begun
    found = made()
    assert set(found.filter(pl.col("closed").is_null())["decided"]) != set()
    kept = found.filter(pl.col("decided") >= begun, pl.col("pnl").is_not_null())
    still = positions.held(ACCOUNT, str(NAMESPACE))
    assert all(one.entered > begun for one in still)
    worth = later["pnl"][-1] - kept["pnl"].sum()  # of what is open
    before = whole["pnl"][-1] - found["pnl"].sum()
    assert worth == pytest.approx(before)


# ---- compared by the database


def subject(settings, *, base=""):
    return Subject(STRATEGY, settings, season.ToyDesk(), base)


def test_executions_begin_where_every_track_s_decider_answered():
    settings = settings_of(**BOTH)
    for n in range(16):
        day(DAYS[n], settings, SYMBOLS if n % 4 == 0 else (), tier=3 if n < 4 else 1)  # a champion from the fifth day
    found, (executed,) = compared.by_executions(subject(settings), ACCOUNT)
    assert found.question == Question.EXECUTIONS and found.base == "Rule"
    assert found.returns["session"].min() == DAYS[5]
    begun = made().filter(pl.col("decided") >= DAYS[4])
    rows = {one.track: one for one in found.figures}
    assert {name: one.trades + one.still_open for name, one in rows.items()} == dict(
        begun.group_by("track").len().rows()
    )
    capital = {"Model": 600_000.0, "Rule": 400_000.0}
    for name, one in rows.items():
        running = curve.running(ACCOUNT, str(NAMESPACE), since=DAYS[4]).filter(pl.col("track") == name)
        assert one.total == pytest.approx(running["pnl"][-1] / capital[name])
        assert one.cost.slippage == pytest.approx(0.0, abs=0.5)
        assert one.cost.orders == 2 * one.trades + one.still_open  # none of what was decided before
    assert executed.track == "Model"


def test_opportunities_are_what_was_drawn_with_what_came_of_it_and_the_score_before():
    settings = walk(17, BOTH, every=3)
    drawn, one = draws.drawn(NAMESPACE), subject(settings)
    found = compared.opportunities(one, made(), MONDAY)
    assert len(drawn) == len(SYMBOLS) * drawn["week"].n_unique()
    oldest = made().filter(pl.col("closed").is_null())["decided"].min()
    weeks = drawn.filter(pl.col("week") >= MONDAY, pl.col("week") < oldest - dt.timedelta(days=oldest.weekday()))
    assert len(found) == len(weeks) > 3
    traded = made().filter(
        pl.col("decided") >= weeks["week"].min(), pl.col("decided") < weeks["week"].max() + dt.timedelta(7)
    )
    capital = pl.when(pl.col("track") == "Model").then(600_000.0).otherwise(400_000.0)
    assert found["value"].sum() == pytest.approx(traded.select((pl.col("pnl") / capital).sum()).item())
    assert (found["value"] != 0.0).all() and found["score"].n_unique() > 2
    passed = compared.opportunities(one, made().filter(pl.col("symbol") != "F3"), MONDAY)
    assert passed.filter(pl.col("value") == 0.0)["symbol"].unique().to_list() == ["F3"] and len(passed) == len(found)
    tested = draws.tested(drawn, settings.trading)
    assert tested.split.draws == len(drawn) == sum(tested.counts.values()) and tested.split.p > 0.05
    assert tested.planned == {"Model": 0.6, "Rule": 0.4}


def test_where_a_question_has_no_answer_it_is_said_why():
    settings = settings_of(**BOTH)
    assert compared.by_executions(subject(settings), ACCOUNT) == (Without.NO_EXECUTION, [])
    day(DAYS[0], settings, SYMBOLS, tier=3)
    assert compared.by_executions(subject(settings), ACCOUNT) == (Without.NO_CHAMPION, [])
    assert compared.by_executions(subject(settings_of(**RULE)), ACCOUNT) == (Without.ONE_TRACK, [])


def test_probabilities_of_a_profit_are_those_of_the_classes_above_zero():
    from bq.monitoring import records

    rows = pl.DataFrame(
        {
            "event_id": ["a", "b", "c"],
            "symbol": ["F1"] * 3,
            "session": [DAYS[0]] * 3,
            "tier": [1, 1, 3],
            "model": ["m", "m", "rule score"],
            "score": [1.0] * 3,
            "should_trade": [True] * 3,
            "class_probabilities": [[0.2, 0.3, 0.5], [0.9, 0.1], None],
        }
    )
    records.enter(records.Scan(NAMESPACE, DAYS[0], CLOSE[DAYS[0]], {}, "da7a", "c0de", "m", None), rows)
    three = SimpleNamespace(name="toy", task=lambda settings: Task(("no", "some", "much"), (0.0, 0.4)))
    one = Subject(three, settings_of(**BOTH), season.ToyDesk())
    assert dict(compared.predicted(one).rows()) == {"a": pytest.approx(0.8)}  # of b the classes are others
