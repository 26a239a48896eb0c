"""`make ab`: the power calculator, shadow books of recorded scans, and every cell of notebook 05."""

import ast
import datetime as dt
import json

import polars as pl
import pytest

import bq
from bq import strategies
from bq.core import paths
from bq.core.errors import BadParameters
from bq.core.settings import Track
from bq.jobs import ab, compared, request
from bq.jobs.trade_paper import desk_of
from bq.monitoring import compared_record, deciding
from bq.monitoring.compared import Origin, Shadows, Subject, Without
from bq.strategies import store
from bq.surface import params
from bq.trading.comparison import Verdict
from bq.workbench.reading import comparison as words
from bq.workbench.told import Reading, Told

SMALL = "market.simulation.symbols=3 market.simulation.sessions=700 events.first=2011-06-01"
TRACKS = [
    Track(name="RuleB", share=0.4, decides="rule"),
    Track(name="Fourier", share=0.3, decides="rule", weights={"fourier": 1.0, "stability": 0.0}),
]


def small(tracks=None):
    """Settings of a small simulated market, with other tracks than the shipped ones where they are given."""
    settings = params("butterfly", str(paths.CHECKOUT / "parameters/simulated/butterfly.yaml"), SMALL)
    trading = settings.trading.model_copy(update={"tracks": tracks} if tracks else {})
    return settings.model_copy(update={"trading": trading})


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty home."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    for name in ("BQ_DATABASE_URL", "PLAN", "RUN", "FROM_FILE", "TRACK", "PARAMS", "STRATEGY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def shown(monkeypatch, capsys, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ab.main(request.read("ab"))
    return capsys.readouterr().out


def test_the_plan_has_the_reference_numbers(monkeypatch, capsys):
    """328 trades an arm, 238 + 555 at 70/30; 15.7 years unpaired, 1.6 at correlation .9."""
    told = shown(monkeypatch, capsys, PLAN="deviation=0.01 difference=0.10")
    assert "328 + 328 trades" in told and "555 + 238 trades" in told
    assert "1.6 years paired at correlation 0.90, 15.7 years unpaired" in told
    # .10 × 5/252 over .01 is an effect of .198: 427 observations by the calculator, five sessions each
    n = int(told.split(" observations")[0].split()[-1].replace(",", ""))
    from bq.stats import power

    assert n == power.observations(0.1 * 5 / 252 / 0.01, alpha=0.05, sharpest_at=100)
    assert f"{5 * n:,} sessions" in told and "as stated" in told


def test_assumptions_are_taken_from_the_plan(monkeypatch, capsys):
    told = shown(monkeypatch, capsys, PLAN="deviation=0.02 base=0.5 better=0.6 share=0.5 trades_a_month=20")
    assert "win rate 50% → 60%" in told and "trades a month" in told and "555" not in told


@pytest.mark.parametrize(
    ("plan", "match"),
    [
        pytest.param("devation=1", "did you mean `deviation`", id="unknown"),
        pytest.param("deviation=much", "must be a number", id="no-number"),
        pytest.param("yes", "must be 1, or hold name=number", id="no-pair"),
    ],
)
def test_a_plan_that_cannot_be_read_is_refused(monkeypatch, capsys, plan, match):
    with pytest.raises(BadParameters, match=match):
        shown(monkeypatch, capsys, PLAN=plan)


def test_a_replay_and_a_file_at_once_are_refused(monkeypatch, capsys, tmp_path):
    with pytest.raises(BadParameters, match="must not both be given"):
        shown(monkeypatch, capsys, RUN="x", FROM_FILE=str(tmp_path / "t.csv"))


# ---- shadow books of scans that were recorded


def scanned(settings, sessions=16):
    """The market, decided on by the rule score on so many sessions in a row."""
    strategy, data = strategies.of(settings), store.market_data(settings)
    for session in data.bars["session"].unique().sort()[-80 : -80 + sessions]:
        deciding.decide(strategy, settings, data, session)
    return strategy, data


def test_shadow_books_of_recorded_scans_are_compared_and_nothing_is_recorded(tmp_path):
    settings = small(TRACKS)
    strategy, data = scanned(settings)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.db")}
    subject = Subject(strategy, settings, desk_of(strategy, settings, data))
    found = compared._shadows(subject, data)
    assert isinstance(found, Shadows) and found.source == "simulated"
    assert found.daily["track"].unique().sort().to_list() == ["Fourier", "RuleB"]
    for name in ("RuleB", "Fourier"):
        own = found.daily.filter(pl.col("track") == name)
        assert own["session"].n_unique() == len(own) and own["pnl"][0] == 0.0
        assert own["equity"][-1] == pytest.approx(settings.trading.capital + own["pnl"].sum(), abs=0.01)
    held = found.daily.group_by("session").agg(pl.col("n_open").sum()).sort("session")["n_open"]
    assert held[-1] == 0 < held[-2], "sessions after the last position tell the tracks apart no more"
    made = compared.of_ledger(strategy, settings)
    assert (made.origin, made.source, made.executions) == (Origin.LEDGER, "simulated", Without.NO_EXECUTION)
    assert made.decisions.base == "RuleB" and made.drawn is None
    rule = next(one for one in made.decisions.figures if one.track == "RuleB")
    closed = found.closed.filter(pl.col("track") == "RuleB")
    assert rule.trades == len(closed) > 0 and rule.opportunities == found.opportunities > 20
    assert rule.total == pytest.approx(
        found.daily.filter(pl.col("track") == "RuleB")["pnl"].sum() / settings.trading.capital
    )
    assert rule.outcome == pytest.approx((closed["pnl"] / closed["risk"]).mean()) and rule.turnover > 0
    record = compared_record.of(made)
    assert [one.verdict for one in record.asked[0].answers] == [Verdict.TOO_FEW]
    assert "of the 20 observations that a first verdict needs" in " ".join(words.verdicts(record))
    assert words.verdicts(record)[0].startswith("This is a comparison on a simulated market")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.db")} == before


def test_without_a_champion_there_is_nothing_to_pair():
    settings = small()
    strategy = strategies.of(settings)
    assert compared.of_ledger(strategy, settings).decisions == Without.NO_SCAN
    scanned(settings, sessions=1)
    assert compared.of_ledger(strategy, settings).decisions == Without.NO_CHAMPION


def test_scans_of_which_none_counts_are_said_with_how_many_there_are():
    """Bars that ended years ago: every scan of them is late."""
    settings = params("butterfly", "", "market.symbols=[AAPL,MSFT,XOM] market.start=2020-01-01 events.first=2022-06-01")
    strategy, data = strategies.of(settings), store.market_data(settings)
    for session in store.collect(strategy, settings, data).events["session"].unique().sort()[-3:]:
        assert deciding.decide(strategy, settings, data, session).late
    made = compared.of_ledger(strategy, settings)
    assert made.decisions == Without.NONE_COUNTS
    assert words.verdicts(compared_record.of(made))[0] == (
        "Decisions: no verdict, 3 scans made, but no scan counts: what counts is the first scan of a session that is "
        "made after its close and before the next open."
    )


# ---- the notebook


def cells(**given):
    """What each cell of notebook 05 shows, run in this process with these parameters."""
    names: dict = {}
    found = []
    for cell in json.loads((paths.CHECKOUT / "notebooks/05_ab_comparison.ipynb").read_text())["cells"]:
        if cell["cell_type"] != "code":
            continue
        *before, last = ast.parse("".join(cell["source"])).body
        exec(compile(ast.Module(before, []), "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            found.append(eval(compile(ast.Expression(last.value), "cell", "eval"), names))
        else:
            exec(compile(ast.Module([last], []), "cell", "exec"), names)
        if "tags" in cell["metadata"]:
            names |= given
    return found


def test_every_cell_says_what_a_list_of_trades_has_to_say(tmp_path):
    days = pl.date_range(dt.date(2016, 1, 4), dt.date(2019, 6, 28), "1d", eager=True).to_list()
    lines = ["track,symbol,opened,closed,pnl,risk,score"]
    for n, day in enumerate(days[:-4]):
        pnl = (37 * n) % 101 - 48.0 + 30 * (n % 2)
        lines.append(f"{('RuleB', 'ModelA')[n % 2]},S{n % 9},{day},{days[n + 3]},{pnl},50,{n % 13}")
    (tmp_path / "t.csv").write_text("\n".join(lines))
    shown = cells(trades=str(tmp_path / "t.csv"), run_dir="")
    assert all(isinstance(one, Told | Reading) for one in shown)
    said = "\n".join(repr(one) for one in shown)
    assert "Executions: ModelA earns more than RuleB: told apart on 20" in said
    assert "ModelA earned most. Closed trades: " in said
    assert "the score before the draw takes out" in said and "None" not in said and "nan" not in said


def test_every_cell_says_why_there_is_nothing(monkeypatch):
    settings = params("breakout", str(paths.CHECKOUT / "parameters/simulated/breakout.yaml"))
    monkeypatch.setattr(bq, "params", lambda *given, **more: settings, raising=False)
    shown = cells()
    said = [repr(one) for one in shown]
    assert all(said) and any("nothing was decided yet" in one for one in said)
    assert any("no order was filled yet" in one for one in said)
