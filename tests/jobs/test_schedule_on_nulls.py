"""Where nothing is to be found, years of scheduled retrains deploy nothing more often than the gate allows at once."""

import os

import pytest

from bq import strategies
from bq.core import params
from bq.core.errors import BadParameters
from bq.jobs import calibrate, request
from bq.jobs import calibrate_schedule as job

FULL = os.environ.get("BQ_FULL") == "1"
SMALL = (  # of the small form: few names, of which an attempt sees all events, so that there are some in a year
    "market.simulation.symbols=8 market.simulation.sessions=1300 exit.max_holding_days=10 learning.folds=2 "
    "learning.newest_days=150 gate.draws=1000"
)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """The job in this process with variables of the Makefile."""

    def run(**variables: str) -> None:
        whole = {"STRATEGY": "breakout", "FAMILY": "schedule", "SET": SMALL} | variables
        for name, value in {"BQ_HOME": str(tmp_path), **whole}.items():
            monkeypatch.setenv(name, value)
        calibrate.main(request.read(request.CALIBRATE))

    return run


def test_a_schedule_on_a_small_null_market_deploys_nothing_and_is_replayed_once(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(job.replaying.triggers, "ENOUGH", 25.0)  # of few names: several attempts in the years
    asked(MARKETS="1")
    said = capsys.readouterr().out
    assert "breakout: any deployment in 0 of 1 market (0.0% to 97.5%)" in said  # Clopper and Pearson: 1 - .025
    folder = tmp_path / "outputs" / "calibration"
    found = [job.Came.read(path, what="a market:") for path in sorted((folder / "schedule").glob("*.json"))]
    assert [one.seed for one in found] == [5000]
    assert min(one.attempts for one in found) >= 2 and sum(one.deployed for one in found) == 0
    assert min(one.sessions for one in found) > 700
    monkeypatch.setattr(job, "replay", lambda *_: pytest.fail("it is known"))
    asked(MARKETS="1")
    assert capsys.readouterr().out == said
    assert "Clopper" in (folder / "schedule.html").read_text()


def test_a_number_of_markets_that_is_none_is_refused(asked):
    with pytest.raises(BadParameters, match="MARKETS"):
        asked(MARKETS="some")


@pytest.mark.calibration
@pytest.mark.parametrize("name", list(strategies.MODULES))
def test_of_sixty_null_markets_at_most_three_deploy_anything_in_three_years(name, tmp_path, monkeypatch):
    if not FULL:
        pytest.skip("a small market is tried above; BQ_FULL=1 tries sixty of each strategy, as it ships: hours")
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    strategy = strategies.get(name)
    settings = params.load(job.file_of(strategy, job.NULL), strategy.settings)
    came = job.measured(settings, range(job.FIRST_SEED, job.FIRST_SEED + job.MARKETS))
    assert sum(one.attempts for one in came) >= job.MARKETS
    assert sum(bool(one.deployed) for one in came) <= job.MOST * job.MARKETS
