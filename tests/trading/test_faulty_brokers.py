"""Whatever a broker loses, and wherever a run is killed: no order twice, none lost, both books the same."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import season
import sqlalchemy as sa
from season import DAYS, HALF, NONE, day, settings_of

from bq.core import db, files, paths
from bq.core.settings import DryRun as Faults
from bq.trading import dry_run, ledger, positions
from bq.trading.intents import Action
from bq.trading.ledger import executions, intents, orders

FULL = bool(os.environ.get("BQ_FULL"))
RUNS = 1000 if FULL else 12
EVERY = bool(os.environ.get("BQ_CRASH"))
ACCOUNT, NAMESPACE = f"dry-run.{season.NAMESPACE}", str(season.NAMESPACE)
TRADED = ("S1", "FLY", "GNAT", "S2")
ALONE = {"tracks": [{"name": "ButterAI", "share": 1.0, "decides": "champion"}]}


def broker_state():
    return files.read_json(dry_run.state_file(ACCOUNT))


def check(settings):
    """Both books are the same, and each event was opened once at most."""
    state = broker_state()
    assert short() == []
    accepted = Counter(one["order_ref"] for one in state["orders"])
    assert [ref for ref, times in accepted.items() if times > 1] == []
    assert positions.contracts(ACCOUNT) == state["held"]
    made = positions.accounts(ACCOUNT, NAMESPACE)
    cash = sum(one.cash - one.commissions for one in made)
    assert state["cash"] == settings.trading.capital * 1e4 + cash
    with db.engine().connect() as connection:
        query = sa.select(intents.c.event_id, sa.func.count()).join(orders, orders.c.intent_id == intents.c.intent_id)
        opened = connection.execute(query.where(intents.c.action == Action.OPEN).group_by(intents.c.event_id)).all()
    assert [event for event, times in opened if times > 1] == []


def short():
    """Orders that sold shares which were not held; those of FLY are delivered overnight."""
    held, found = Counter(), []
    query = sa.select(executions).where(executions.c.contract.startswith("S"), executions.c.multiplier == 1)
    with db.engine().connect() as connection:
        for row in connection.execute(query.order_by(executions.c.session, sa.literal_column("executions.rowid"))):
            if row.revision == 1:
                held[row.contract] += row.quantity
                found += [row.order_ref] if held[row.contract] < 0 else []
    return found


def stops():
    """Shares that stops at the broker would sell."""
    working = [one for one in broker_state()["orders"] if (one["status"], one["kind"]) == ("working", "stop")]
    return {one["legs"][0]["symbol"]: one["filled"] - one["quantity"] for one in working if one["trigger"]}


def assign():
    """A short call of FLY is assigned overnight, where one is held; whether it was."""
    state, body = broker_state(), "FLY 20211217 C 100"
    if not state["held"].get(body):
        return False
    state["held"] |= {body: state["held"][body] + 1, "FLY": -100}
    state["cash"] += 100 * 100 * 10_000
    files.write_json(dry_run.state_file(ACCOUNT), state)
    return True


def faulty_run(seed):
    """Five days at a broker that loses answers on three of them; how many were lost, and whether a leg was assigned."""
    settings = settings_of(**ALONE)
    faults = Faults(seed=seed, partial_fills=0.3, rejects=0.1, lost_answers=0.4)
    assigned = False
    for number in range(3):
        assigned = number == 2 and assign()
        day(DAYS[number], settings, TRADED if number < 2 else (), faults=faults)
    for session in DAYS[3:5]:
        made = day(session, settings, faults=NONE)
    assert made.reconciled.holds, seed
    assert [one.held.symbol for one in made.held if one.held.odd] == [], seed
    check(settings)
    states = {one.standing.state for one in ledger.every(ACCOUNT, NAMESPACE, newest=99)}
    assert "unknown" not in states
    with db.engine().connect() as connection:
        query = sa.text("select count(*) from order_events where said = 'no_answer'")
        return connection.execute(query).scalar_one(), assigned


@pytest.mark.calibration
def test_no_order_is_sent_twice_and_none_is_lost_by_brokers_that_lose_answers(tmp_path, monkeypatch):
    lost = legs = 0
    for seed in range(RUNS):
        monkeypatch.setenv("BQ_HOME", str(tmp_path / str(seed)))
        answers, assigned = faulty_run(seed)
        lost, legs = lost + answers, legs + assigned
        db.close()
        shutil.rmtree(tmp_path / str(seed))
    assert lost > 2 * RUNS
    assert legs > RUNS // 4


def killed_at(number, home):
    """Trade the day DAYS[5] in a process that is killed before its change of that number; whether it came so far."""
    environment = {**os.environ, "BQ_HOME": str(home), "PYTHONPATH": str(paths.CHECKOUT)}
    command = [sys.executable, str(Path(__file__).with_name("killed_child.py")), str(number)]
    done = subprocess.run(command, env=environment, cwd=paths.CHECKOUT, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def prepared(home, monkeypatch):
    """A home in which positions are held and orders wait for the session DAYS[5]."""
    monkeypatch.setenv("BQ_HOME", str(home))
    settings = settings_of(**ALONE)
    day(DAYS[0], settings, ["S1", "FLY"])
    for session in DAYS[1:5]:
        day(session, settings, ["S2", "GNAT"] if session == DAYS[4] else ())
    db.close()
    return settings


def test_a_run_killed_at_any_change_is_taken_up_by_the_next(tmp_path, monkeypatch):
    settings = prepared(tmp_path / "before", monkeypatch)

    def ends(home):
        monkeypatch.setenv("BQ_HOME", str(home))
        db.close()
        for session in (DAYS[5], DAYS[6], DAYS[7]):
            killed = session == DAYS[5]
            made = day(session, settings, ["S3", "BEE"] if killed else (), faults=HALF if killed else NONE)
            assert made.reconciled.holds
            assert stops() == {"S2": 2, **({} if killed else {"S3": 4})}
        check(settings)
        result = {one.symbol: one.units for one in positions.held(ACCOUNT, NAMESPACE)}
        db.close()
        return result

    usual = ends(shutil.copytree(tmp_path / "before", tmp_path / "usual"))
    assert usual == {"S2": 2, "GNAT": 2, "S3": 4, "BEE": 4}
    number, killed = 1, 0
    while True:
        home = shutil.copytree(tmp_path / "before", tmp_path / f"killed-{number}")
        if not killed_at(number, home):
            break
        killed += 1
        assert ends(home) == usual, number
        number += 1 if EVERY else 19
    assert killed >= (40 if EVERY else 3)
