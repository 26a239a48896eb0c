"""A strategy of twenty lines goes the whole way: events, walk-forward, gate and decisions."""

from pathlib import Path

import polars as pl
import pytest
import reversal_strategy
from reversal_strategy import STRATEGY, ReversalSettings

from bq import market, strategies, surface
from bq.core.settings import Gate, Learning, Market, Policy, Simulation
from bq.serving import candidate, gates
from bq.strategies import store

MOST_LINES = 20


@pytest.fixture
def settings(tmp_path, monkeypatch) -> ReversalSettings:
    """A home of its own, in which the strategy is registered."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.setitem(strategies.MODULES, "reversal", "reversal_strategy")
    simulated = Market(source="simulated", simulation=Simulation(symbols=4, sessions=900))
    learning = Learning(features="reversal_v1", model="elastic_net", folds=2, test_days=200, newest_days=90)
    return ReversalSettings(market=simulated, learning=learning, policy=Policy(k=2), gate=Gate(draws=1000))


def test_it_has_no_more_lines_than_promised():
    lines = Path(reversal_strategy.__file__).read_text().splitlines()
    own = [line for line in lines if line.strip() and not line.startswith(("import ", "from ", '"""'))]
    assert len(own) <= MOST_LINES


def test_it_is_taken_by_every_part(settings):
    data = market.load(settings.market)
    events = surface.events(settings)
    assert len(events) == 4 * (900 - 5)
    assert events.filter(pl.col("outcome").is_null())["session"].n_unique() == 6
    training = surface.train(events, settings)
    made = candidate.make(training, None, events, strategy=STRATEGY, settings=settings)
    found = gates.Evidence(made.own_oos, made.newest, made.parity, "r", made.own_oos.select("session").unique())
    components = gates.decide(found, None, strategy=STRATEGY, settings=settings).components
    assert any(component.of == "net outcome of at most 2 trades a session" for component in components)
    today = store.at(STRATEGY, settings, data, events["session"].max())
    assert set(surface.score(today, settings)["tier"]) == {3}
