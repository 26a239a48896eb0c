"""A planted signal turns: a replay notices, retires its model, trains on what came since, deploys, and earns again."""

import datetime as dt
import os

import pytest

from bq import market as markets
from bq import strategies
from bq.core import params, paths, world
from bq.jobs import replay_recovery, replaying
from bq.serving import bounds

FULL = os.environ.get("BQ_FULL") == "1"
CHANGE = dt.date(2013, 6, 3)
MARKET = (  # strong enough to be told from luck in as many blocks as the gate asks for; see docs/lifecycle.md
    "market.simulation.symbols=40 market.simulation.sessions=1500 market.simulation.oracle_ic=0.25 "
    f"market.simulation.changes={CHANGE} events.every_sessions=5 learning.folds=3 learning.test_days=240 "
    "learning.model=factor_weights learning.compare=[] learning.regimes=null"
)


@pytest.mark.calibration
@pytest.mark.parametrize(("on_harm", "recovers"), [("retire", True), ("retrain", False)])
def test_of_a_turned_signal_only_what_is_retired_and_trained_since_recovers(on_harm, recovers, monkeypatch):
    if not FULL:
        pytest.skip("a model is retired in a small replay; BQ_FULL=1 replays three years: two minutes each")
    monkeypatch.setenv("BQ_WORKERS", "1")
    monkeypatch.setattr(replaying, "Books", lambda history: None)  # decisions alone
    file = paths.CHECKOUT / "parameters" / "simulated" / "forecast_drifting.yaml"
    settings = params.load(file, strategies.get("forecast").settings, overrides=f"{MARKET} learning.on_harm={on_harm}")
    market = markets.load(settings.market)
    with world.own():
        made = replaying.replay(strategies.of(settings), settings, market, dt.date(2013, 3, 1), dt.date(2015, 9, 30))
    found = replay_recovery.found(made, CHANGE)
    assert (found.noticed - CHANGE).days < 200
    assert (found.recovered is not None) == (found.deployed is not None) == recovers
    after = made.earned.filter(made.earned["session"] >= (found.deployed or found.noticed))
    ahead = bounds.mean_of(after.select("session", value=replay_recovery.APART), made.events, settings)
    if not recovers:
        assert ahead.high < 0  # the model of the old law decides on, and loses
        return
    (retired,) = made.retired
    assert abs((retired.changed - CHANGE).days) < 60 and retired.session == found.retired
    without = made.decided.filter(made.decided["session"].is_between(found.retired, found.deployed, closed="left"))
    assert without["model_id"].null_count() == len(without) > 0
    assert (found.deployed - CHANGE).days < 24 * 31
    assert ahead.mean > 0
