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


@pytest.mark.calibration
@pytest.mark.parametrize(("on_harm", "recovers"), [("retire", True), ("retrain", False)])
def test_of_a_turned_signal_only_what_is_retired_and_trained_since_recovers(on_harm, recovers, monkeypatch):
    if not FULL:
        pytest.skip("a model is retired in a small replay; BQ_FULL=1 replays three years: two minutes each")
    monkeypatch.setattr(replaying, "Books", lambda history: None)  # decisions alone
    file = paths.CHECKOUT / "parameters" / "simulated" / "forecast_recovering.yaml"
    settings = params.load(file, strategies.get("forecast").settings, overrides=f"learning.on_harm={on_harm}")
    market, change = markets.load(settings.market), settings.market.simulation.changes
    with world.own():
        made = replaying.replay(strategies.of(settings), settings, market, dt.date(2013, 3, 1), dt.date(2015, 5, 29))
    found = replay_recovery.found(made, change)
    assert (found.noticed - change).days < 200
    assert (found.recovered is not None) == (found.deployed is not None) == recovers
    after = made.earned.filter(made.earned["session"] >= (found.deployed or found.noticed))
    ahead = bounds.mean_of(after.select("session", value=replay_recovery.APART), made.events, settings)
    if not recovers:
        assert ahead.high < 0  # the model of the old law decides on, and loses
        return
    (retired,) = made.retired
    assert abs((retired.changed - change).days) < 60 and retired.session == found.retired
    without = made.decided.filter(made.decided["session"].is_between(found.retired, found.deployed, closed="left"))
    assert without["model_id"].null_count() == len(without) > 0
    assert (found.deployed - change).days < 24 * 31
    assert ahead.mean > 0
