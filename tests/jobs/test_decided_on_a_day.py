"""`make status DATE=…`: who decided, with what, what was expected and what came of it, in one answer."""

import datetime as dt

import polars as pl
import pytest

from bq import strategies
from bq.core import files, params, paths
from bq.core.errors import BadParameters
from bq.core.namespace import Namespace
from bq.jobs import decided, mature, request, status
from bq.jobs import params as params_job
from bq.monitoring import outcomes, records
from bq.monitoring.records import Scan

DAY = dt.date(2019, 5, 31)
CLOSE = dt.datetime(2019, 5, 31, 20, tzinfo=dt.UTC)
NAMESPACE = Namespace("butterfly")
SETTINGS = params.load(paths.CHECKOUT / "parameters" / "butterfly.yaml", strategies.get("butterfly").settings)
PARAMETERS = SETTINGS.model_copy(update={"gate": SETTINGS.gate.model_copy(update={"draws": 4321})}).model_dump(
    mode="json"
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    for name in ("BQ_DATABASE_URL", "STRATEGY", "PARAMS", "SET", "SYMBOLS", "FROM", "TO", "DATE", "QUICK"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def decide(count=2, *, late=False, namespace=NAMESPACE, day=DAY, parameters=PARAMETERS, tier=1) -> int:
    scan = Scan(namespace, day, CLOSE + dt.timedelta(hours=2), parameters, "da7a", "c0de", "m1", None, late)
    rows = {
        "event_id": [f"{i:02d}{'e' * 30}" for i in range(count)],
        "symbol": [f"S{i}" for i in range(count)],
        "session": day,
        "t1_due": CLOSE + dt.timedelta(days=7),
        "tier": tier,
        "model": "m1",
        "predicted_class": "Good",
        "expected": [0.25 - i / 100 for i in range(count)],
        "score": [60.0 + i for i in range(count)],
        "should_trade": [i == 0 for i in range(count)],
        "rank": list(range(1, count + 1)),
    }
    return records.enter(scan, pl.DataFrame(rows)).scan_id


def end(**came_to: float) -> None:
    """Record outcomes by the number of the event, as e0=0.5."""
    row = {"t1_now": CLOSE, "label_now": "Loss", "source": "bars", "revision": None}
    rows = [
        {"event_id": f"{int(name[1:]):02d}{'e' * 30}", "outcome_now": value, **row} for name, value in came_to.items()
    ]
    outcomes.enter(NAMESPACE, pl.DataFrame(rows, schema_overrides={"revision": pl.Int64}), data_hash="d")


def test_the_answer_says_who_with_what_what_was_expected_and_what_came_of_it(home):
    decide(2)
    decide(2, late=True)
    end(e0=-0.5, e1=0.1)
    assert decided.told(DAY).splitlines() == [
        "butterfly · 2019-05-31 · 2 scans",
        "  scan 1      decided 2019-05-31 22:00 UTC by champion m1 (2): counts",
        "  scan 2      decided 2019-05-31 22:00 UTC by champion m1 (2): not counted: scan 1 was first",
        "  of scan 1",
        "  deployed    champion m1, second tier none",
        f"  parameters  {files.digest(PARAMETERS)}, in full: make params STRATEGY=butterfly DATE=2019-05-31",
        "  data        da7a",
        "  code        c0de (of events)",
        "  outcomes     2 of 2 decisions have an outcome",
        "               of the 1 to be traded: -0.50; mean outcome of all 2: -0.20",
        "  event     symbol  rank  trade  score   expected  class  outcome  came to",
        "  00eeeeee  S0      1     yes    60.000  +0.25     Good   -0.50    Loss",
        "  01eeeeee  S1      2     no     61.000  +0.24     Good   +0.10    Loss",
    ]


def test_a_scan_outside_its_time_is_told_apart_from_one_that_was_not_the_first(home):
    decide(1, late=True)
    decide(1)
    decide(1, late=True)
    early, counting, again = decided.told(DAY).splitlines()[1:4]
    assert early.endswith(": not counted: made outside the time from close to next open")
    assert counting.endswith(": counts") and again.endswith(": not counted: scan 2 was first")


def test_a_revision_is_what_is_shown(home):
    decide(1)
    end(e0=0.5)
    row = {"event_id": f"00{'e' * 30}", "t1_now": CLOSE, "outcome_now": 0.75, "label_now": "Good", "source": "bars"}
    outcomes.enter(NAMESPACE, pl.DataFrame([{**row, "revision": 0}]), data_hash="d2")
    assert decided.told(DAY).splitlines()[-1].split()[-2:] == ["+0.75", "Good"]


def test_many_decisions_fit_a_screen_and_the_rest_is_said(home):
    decide(40)
    lines = decided.told(DAY).splitlines()
    assert len(lines) < 24 and lines[-1] == "  and 28 more, in the view v_decisions (docs/records.md)"
    assert lines[-2].split()[1] == "S11" and "0 of 40 decisions have an outcome, the last due 2019-06-07" in lines[7]


def test_every_namespace_that_decided_has_its_block(home):
    decide(1)
    decide(1, namespace=Namespace("forecast", "mine"), tier=3)
    lines = decided.told(DAY).splitlines()
    assert [line for line in lines if line.endswith("1 scan")] == [
        "butterfly · 2019-05-31 · 1 scan",
        "forecast.mine · 2019-05-31 · 1 scan",
    ]
    assert any(line.strip().startswith("scan 2") and "by rule score (1)" in line for line in lines)
    assert any("PARAMS=<the file of forecast.mine> DATE" in line for line in lines)


@pytest.mark.parametrize(
    ("late", "parameters", "said"),
    [
        (None, None, "not known whether it was in time: version 0.1 did not record by which calendar"),
        (None, PARAMETERS, "not known whether it was in time: `make mature` judges it"),
    ],
    ids=["0.1", "before it was judged"],
)
def test_a_scan_of_which_it_is_not_known_says_so(home, late, parameters, said):
    decide(1, late=late, parameters=parameters)
    assert said in decided.told(DAY).splitlines()[1]


def test_where_nothing_was_decided_the_nearest_sessions_are_named(home):
    assert decided.told(DAY) == ("2019-05-31: nothing was decided, nor on any other session; `make scan` decides")
    for day in (DAY - dt.timedelta(days=3), DAY + dt.timedelta(days=5)):
        decide(1, day=day)
    assert decided.told(DAY).endswith("decisions: DATE=2019-05-28 and DATE=2019-06-05")


def test_the_status_of_a_date_imports_no_calendar_and_no_model(home, monkeypatch, capsys):
    import subprocess
    import sys

    decide(1)
    monkeypatch.setenv("DATE", str(DAY))
    heavy = ("exchange_calendars", "pandas", "onnx", "onnxruntime", "sklearn", "lightgbm", "plotly", "scipy")
    code = (
        f"import sys; from bq.__main__ import main; main(['status']); print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "butterfly · 2019-05-31 · 1 scan"
    assert done.stdout.splitlines()[-1] == "[]"
    status.main(request.read())
    assert capsys.readouterr().out.startswith("butterfly · 2019-05-31")


def test_the_parameters_of_a_day_are_printed_as_a_parameter_file(home, monkeypatch, capsys, tmp_path):
    """Not those of the file as it is now."""
    decide(1, late=True, parameters={**PARAMETERS, "name": "else"})
    decide(1)
    monkeypatch.setenv("DATE", str(DAY))
    asked = request.read()
    params_job.main(asked)
    copy = tmp_path / "copy.yaml"
    copy.write_text(capsys.readouterr().out)
    found = params.load(copy, asked.strategy.settings)
    assert found.model_dump(mode="json") == PARAMETERS and found != asked.settings


def test_parameters_that_this_version_does_not_take_are_printed_as_they_were_recorded(home, monkeypatch, capsys):
    decide(1, parameters={"strategy": "butterfly", "then": {"there": "was"}})
    monkeypatch.setenv("DATE", str(DAY))
    params_job.main(request.read())
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("# As an earlier version") and rest == ["strategy: butterfly", "then:", "  there: was"]


def test_the_parameters_of_a_day_without_decisions_are_refused(home, monkeypatch):
    monkeypatch.setenv("DATE", str(DAY))
    with pytest.raises(BadParameters, match=r"DATE must be a session on which butterfly decided .* DATE=2019-05-31"):
        params_job.main(request.read())


def test_mature_says_so_where_nothing_was_decided_yet(home, capsys):
    mature.main(request.read())
    assert capsys.readouterr().out.startswith("nothing was decided yet: `make scan`\ndashboard   ")
