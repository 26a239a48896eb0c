"""Where nothing is to be found, years of scheduled retrains deploy nothing more often than the gate allows at once."""

import datetime as dt
import os
from typing import NamedTuple

import pytest

from bq import market as markets
from bq import strategies
from bq.core import params, paths, world
from bq.core.parallel import parallel_map
from bq.jobs import replaying

FULL = os.environ.get("BQ_FULL") == "1"
MARKETS, YEARS = 60, 3
FIRST_SEED = 5_000
MOST_DEPLOYING = 0.05  # share of markets with any deployment
SMALL = (  # of the small form: few names, of which an attempt sees all events, so that there are some in a year
    "breakout",
    "market.simulation.symbols=8 market.simulation.sessions=1300 exit.max_holding_days=10 learning.folds=2 "
    "learning.newest_days=150 gate.draws=1000",
)


class Null(NamedTuple):
    """One market without a signal, over which a schedule is replayed."""

    strategy: str
    overrides: str
    seed: int


class Came(NamedTuple):
    """What a schedule came to on a market."""

    attempts: int
    deployed: int


def scheduled(null: Null) -> Came:
    """The last years of a market, day by day, with the retrains that its triggers ask for."""
    strategy = strategies.get(null.strategy)
    file = paths.CHECKOUT / "parameters" / "simulated" / f"{null.strategy}_martingale.yaml"
    settings = params.load(
        file, strategy.settings, overrides=f"{null.overrides} market.simulation.seed={null.seed}".strip()
    )
    data = markets.load(settings.market)
    last = data.bars["session"].max()
    with world.own():
        made = replaying.replay(
            strategies.of(settings), settings, data, last - dt.timedelta(days=round(365.25 * YEARS)), last
        )
    return Came(len(made.trained), sum(bool(one.deployed) for one in made.trained))


def test_a_schedule_on_small_null_markets_deploys_nothing(monkeypatch):
    monkeypatch.setenv("BQ_WORKERS", "1")
    monkeypatch.setattr(replaying.triggers, "ENOUGH", 25.0)  # of few names: several attempts in the years
    came = [scheduled(Null(*SMALL, FIRST_SEED + number)) for number in range(2)]
    assert min(one.attempts for one in came) >= 2
    assert sum(one.deployed for one in came) == 0


@pytest.mark.calibration
@pytest.mark.parametrize("name", list(strategies.MODULES))
def test_of_sixty_null_markets_at_most_three_deploy_anything_in_three_years(name):
    if not FULL:
        pytest.skip("two small markets are tried above; BQ_FULL=1 tries sixty of each strategy, as it ships: hours")
    nulls = [Null(name, "", FIRST_SEED + number) for number in range(MARKETS)]
    came = list(parallel_map(scheduled, nulls, description=f"{name} on nulls"))
    assert sum(one.attempts for one in came) >= MARKETS
    assert sum(bool(one.deployed) for one in came) <= MOST_DEPLOYING * MARKETS
