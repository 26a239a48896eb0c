"""`make calibrate` from its variables to the page; what it measured it does not measure again."""

import polars as pl
import pytest

from bq.audit import calibration
from bq.core.errors import BadParameters
from bq.jobs import calibrate as job
from bq.jobs import request

SMALL = (
    "market.simulation.symbols=8 market.simulation.sessions=1100 learning.folds=2 gate.draws=1000 "
    "learning.hyperparameters.lightgbm.n_estimators=10"
)


@pytest.fixture
def calibrate(tmp_path, monkeypatch):
    """Run the job in this process with variables of the Makefile."""

    def run(**variables: str) -> None:
        for name in ("PARAMS", "STRENGTH", "QUICK"):
            monkeypatch.delenv(name, raising=False)
        whole = {"STRATEGY": "breakout", "FAMILY": "martingale", "MARKETS": "1", "SET": SMALL} | variables
        for name, value in {"BQ_HOME": str(tmp_path), **whole}.items():
            monkeypatch.setenv(name, value)
        job.main(request.read(request.CALIBRATE))

    return run


def test_markets_are_measured_once_and_the_page_and_tables_show_them(calibrate, tmp_path, monkeypatch, capsys):
    seeds = []
    measure = calibration.measure

    def counted(seed, **given):
        seeds.append(seed)
        return measure(seed, **given)

    monkeypatch.setattr(job, "measure", counted)
    calibrate(MARKETS="2")
    assert seeds == [1000, 1001]
    calibrate(MARKETS="3")
    assert seeds == [1000, 1001, 1002]
    said = capsys.readouterr().out
    assert "breakout: martingale, nothing planted: deployed 0 of 3 (0.0% to 70.8%)" in said
    folder = tmp_path / "outputs" / "calibration"
    page = (folder / "report.html").read_text()
    assert "simulated" in page and "breakout: martingale, nothing planted" in page and "Clopper" in page
    assert pl.read_csv(folder / "points.csv").select("family", "markets").rows() == [("martingale", 3)]
    (markets,) = folder.glob("breakout_martingale_0_*.csv")
    assert pl.read_csv(markets)["seed"].to_list() == [1000, 1001, 1002]


@pytest.mark.parametrize("strategy", ["butterfly", "breakout", "forecast"])
def test_a_set_changes_the_file_of_the_family_and_nothing_else_need_be_stated(strategy, monkeypatch, tmp_path):
    """The strategy's own parameter file simulates nothing, and would refuse half a market."""
    asked = {"STRATEGY": strategy, "FAMILY": "planted", "STRENGTH": "0.05", "SET": "market.simulation.symbols=25"}
    for name, value in {"BQ_HOME": str(tmp_path), **asked}.items():
        monkeypatch.setenv(name, value)
    (point,) = job._plan(request.read(request.CALIBRATE)).points
    assert (point.settings.market.simulation.symbols, point.strength) == (25, 0.05)
    monkeypatch.setenv("SET", "market.simulation.simbols=25")
    with pytest.raises(BadParameters, match="symbols"):
        job._plan(request.read(request.CALIBRATE))


def test_a_planted_strength_has_its_oracle_beside_it(calibrate, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "ORACLE_MARKETS", 1)
    calibrate(FAMILY="planted", STRENGTH="0.3")
    rows = pl.read_csv(tmp_path / "outputs" / "calibration" / "points.csv")
    assert rows.select("family", "strength", "markets").rows() == [("planted", 0.3, 1)]
    assert rows["oracle share"].is_not_null().all()


def test_without_names_every_null_and_the_whole_curve_is_asked(monkeypatch):
    for name in ("FAMILY", "STRENGTH", "MARKETS", "PARAMS", "SET", "QUICK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STRATEGY", "breakout")
    plan = job._plan(request.read())
    assert [(one.family, one.strength, plan.count(one)) for one in plan.points] == [
        ("martingale", 0.0, 200),
        ("clustered", 0.0, 200),
        ("planted", 0.2, 40),
        ("planted", 0.1, 40),
        ("planted", 0.04, 40),
    ]
    monkeypatch.delenv("STRATEGY")
    assert {one.strategy.name for one in job._plan(request.read()).points} == {"butterfly", "forecast", "breakout"}


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        pytest.param({"MARKETS": "0"}, "MARKETS must be a whole number above 0, but got '0'", id="none"),
        pytest.param({"STRENGTH": "x", "FAMILY": "planted"}, "STRENGTH must be numbers .* but got 'x'", id="text"),
        pytest.param({"FAMILY": "martingal"}, "did you mean `martingale`", id="unknown"),
    ],
)
def test_what_is_asked_must_make_sense(calibrate, variables, said):
    with pytest.raises(BadParameters, match=said):
        calibrate(**variables)
