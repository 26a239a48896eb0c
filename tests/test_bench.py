"""The bench measures; what it measures is not tested here, only that every row is whole and nothing is lost."""

import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bq.core import files, paths
from bq.core.errors import BadParameters
from tests import bench
from tests.bench import learning, measure, options, page, peers, scale
from tests.bench.measure import Plan
from tests.bench.row import Goal, Row

TINY = Plan("tiny")
WITH_PEERS = [name for name in bench.ROWS if "py_vollib" in name or "evidently" in name]

# the formulas of vollib's functions, as far as the bench calls them
FAKE = """
from math import erf, exp, log, pi, sqrt
def N(x): return (1 + erf(x / sqrt(2))) / 2
def parts(flag, S, K, t, r, sigma, q):
    w, d1 = (1 if flag == "c" else -1), (log(S / K) + (r - q + sigma**2 / 2) * t) / (sigma * sqrt(t))
    return w, d1, d1 - sigma * sqrt(t), exp(-(d1**2) / 2) / sqrt(2 * pi)
def black_scholes_merton(*a):
    flag, S, K, t, r, sigma, q = a
    w, d1, d2, n = parts(*a)
    return w * (S * exp(-q * t) * N(w * d1) - K * exp(-r * t) * N(w * d2))
def delta(*a):
    w, d1, d2, n = parts(*a)
    return w * exp(-a[6] * a[3]) * N(w * d1)
def gamma(*a): return exp(-a[6] * a[3]) * parts(*a)[3] / (a[1] * a[5] * sqrt(a[3]))
def vega(*a): return a[1] * exp(-a[6] * a[3]) * parts(*a)[3] * sqrt(a[3]) / 100
def theta(*a):
    flag, S, K, t, r, sigma, q = a
    w, d1, d2, n = parts(*a)
    carry = q * w * S * exp(-q * t) * N(w * d1) - r * w * K * exp(-r * t) * N(w * d2)
    return (carry - S * exp(-q * t) * n * sigma / (2 * sqrt(t))) / 365
def rho(*a):
    w, d1, d2, n = parts(*a)
    return w * a[2] * a[3] * exp(-a[4] * a[3]) * N(w * d2) / 100
def implied_volatility(price, S, K, t, r, q, flag): return 0.2
"""

EVIDENTLY = """
class Dataset:
    @classmethod
    def from_pandas(cls, frame, data_definition): return frame
class DataDefinition:
    def __init__(self, numerical_columns): pass
class Report:
    def __init__(self, metrics): pass
    def run(self, current, reference): return self
    def dict(self): return {}
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def stand_ins(tmp_path_factory, monkeypatch):
    """In place of the bench's own environment: this Python, with packages of the peers' names."""
    site = tmp_path_factory.mktemp("site")
    for name in ("", "greeks", "greeks/analytical", "implied_volatility"):
        files.write_text(site / "vollib/black_scholes_merton" / name / "__init__.py", FAKE)
    files.write_text(site / "vollib/__init__.py", "")
    files.write_text(site / "vollib-0.0.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: vollib\nVersion: 0.0.1\n")
    files.write_text(site / "evidently/__init__.py", EVIDENTLY)
    files.write_text(
        site / "evidently/presets.py", "class DataDriftPreset:\n    def __init__(self, num_method): pass\n"
    )
    files.write_text(
        site / "evidently-0.0.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: evidently\nVersion: 0.0.1\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setattr(peers, "interpreter", lambda: Path(sys.executable))


@pytest.fixture
def no_peers(monkeypatch):
    def missing():
        raise peers.NotMeasured("vollib==1.0.11 could not be installed: no index")

    monkeypatch.setattr(peers, "interpreter", missing)


def whole(row: Row) -> bool:
    """Whether a row says what was measured, how often, and how it stands."""
    times = [row.ours_seconds, row.peer_seconds] if row.peer else [row.ours_seconds]
    figures = all(goal.value is None or np.isfinite(goal.value) for goal in row.goals)
    return all(time > 0 for time in times) and figures and bool(row.goals and row.n and row.of and row.repeats)


DEAR = {
    "a day of a replay",
    "empty notebook",
    "python -m bq scan",
    "report of a run",
    "the first verb of bq",
    "training: forecast, three layers",
    "growth: walk-forward training",
}


@pytest.mark.calibration
@pytest.mark.parametrize("name", bench.ROWS)
def test_every_row_is_whole_at_a_tiny_size(name, stand_ins):
    if name in DEAR and not os.environ.get("BQ_FULL"):
        pytest.skip("some seconds each; BQ_FULL=1 tries every row")
    ((row, found),) = bench.run(TINY, {name: bench.ROWS[name]})
    assert row.left_out == ""
    assert whole(row)
    assert row.name == name
    assert row.verdict in ("ok", "short")
    written = json.loads(files.canonical_json(found))["rows"][0]  # numpy's own types would be written as text
    assert [(goal["value"], goal["holds"]) for goal in written["goals"]] == [(g.value, g.holds) for g in row.goals]
    assert (written["peer_seconds"], written["ours_seconds"]) == (row.peer_seconds, row.ours_seconds)


def measure_all(rows) -> tuple[list[Row], dict]:
    """All rows, and the record with them."""
    measured, found = zip(*bench.run(TINY, rows), strict=True)
    return list(measured), found[-1]


def test_a_missing_peer_is_named_and_the_bench_goes_on(no_peers):
    rows = {name: bench.ROWS[name] for name in (*WITH_PEERS, "price + 5 Greeks, numpy + ndtr")}
    measured, found = measure_all(rows)
    assert [row.verdict for row in measured[:-1]] == ["left out"] * len(WITH_PEERS)
    assert not measured[-1].left_out
    text = page.table(measured, found["machine"])
    assert text.count("left out: vollib==1.0.11 could not be installed: no index") == len(WITH_PEERS)
    assert "could not be installed: no index" in page.save(found).read_text()


def test_a_fault_in_one_row_does_not_lose_the_others():
    rows = {"faulty": lambda plan: 1 / 0, "good": lambda plan: sample(61.8)}
    (faulty, good), _ = measure_all(rows)
    assert (faulty.verdict, faulty.left_out) == ("left out", "ZeroDivisionError: division by zero")
    assert (good.name, good.left_out) == ("good", "")


def test_an_interrupted_bench_leaves_what_was_measured_and_has_said_it(home, monkeypatch, caplog):
    def interrupted(plan):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "ROWS", {"one": lambda plan: sample(61.8), "two": interrupted, "three": lambda plan: 0})
    monkeypatch.setenv("ROWS", " One,tw")
    caplog.set_level("INFO", logger="bq")
    with pytest.raises(KeyboardInterrupt):
        bench.main(SimpleNamespace(quick=True))
    (written,) = (json.loads(path.read_text()) for path in (home / "outputs/bench").glob("*.json"))
    assert (written["asked"], [row["name"] for row in written["rows"]]) == (["one", "two"], ["one"])
    assert "1 of 2 rows" in (home / "outputs/bench/index.html").read_text()
    said = "one: peer 1.0 1 s, ours 10 ms; speed-up 61.8× (goal ≥ 50×); error – (goal ≤ 1e-08): short"
    assert said in caplog.messages


def test_a_part_that_no_name_of_a_row_has_is_refused_with_all_names():
    assert list(bench.chosen("onnx, selection")) == [
        "ONNX, single row",
        "ONNX, single row of a stack",
        "selection of features",
    ]
    with pytest.raises(BadParameters, match=r"got 'garhc'; there are \['GARCH\(1,1\), rolling daily refit', .*"):
        bench.chosen("ONNX,garhc")


def test_a_peer_that_dies_is_named_with_its_last_words(stand_ins, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "")
    with peers.running("vollib") as peer, pytest.raises(peers.NotMeasured, match="No module named 'vollib'"):
        peer.ask("options", options=[])


def test_an_installation_that_fails_says_why_and_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(peers, "REQUIREMENTS", ("./nowhere-to-be-found.whl",))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(peers.NotMeasured, match=r"could not be installed: ERROR: .*nowhere-to-be-found"):
        peers.interpreter()
    assert not (tmp_path / ".venv-bench/.ready").exists()
    assert (tmp_path / ".venv-bench/.gitignore").read_text() == "*\n"


def test_an_environment_that_is_ready_is_used_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(peers, "_do", lambda *command: files.write_text(tmp_path / ".venv-bench/bin/python", ""))
    first = peers.interpreter()
    monkeypatch.setattr(peers, "_do", lambda *command: pytest.fail("installed again"))
    assert peers.interpreter() == first


def record(stamp: str, *rows: Row) -> dict:
    return {
        "stamp": stamp,
        "started_utc": f"{stamp[:4]}-01-02T03:04:05+00:00",
        "seconds": 1.0,
        "size": "tiny",
        "machine": measure.machine(),
        "git": {"sha": None, "dirty": None},
        "asked": [row.name for row in rows],
        "rows": [row.as_json() for row in rows],
    }


def sample(value: float, name: str = "a row") -> Row:
    goals = (Goal("speed-up", value, "≥", 50, "×"), Goal("error", None, "≤", 1e-8))
    return Row("a fit", "3 fits", "peer 1.0", 1.0, 0.01, goals, 3, (value, value), ("a <b>note</b>",), name=name)


def test_the_record_and_the_page_are_written_whole_and_leave_nothing_beside_them(home):
    target = page.save(record("20200102T030405Z", sample(61.8)))
    assert sorted(path.name for path in (home / "outputs/bench").iterdir()) == ["20200102T030405Z.json", "index.html"]
    assert json.loads((target.parent / "20200102T030405Z.json").read_text())["rows"][0]["goals"][0]["figure"] == "61.8×"


def test_a_page_that_cannot_be_written_leaves_the_old_one_and_the_record(home, monkeypatch):
    before = page.save(record("20200102T030405Z", sample(61.8))).read_text()
    write = files.write_text

    def full(path, content):
        if path.suffix == ".html":
            raise OSError("No space left on device")
        write(path, content)

    monkeypatch.setattr(files, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        page.save(record("20210102T030405Z", sample(40.0)))
    assert (home / "outputs/bench/index.html").read_text() == before
    assert (home / "outputs/bench/20210102T030405Z.json").is_file()


def test_the_page_shows_earlier_runs_newest_first_and_needs_nothing_else(home):
    page.save(record("20200102T030405Z", sample(61.8), sample(70, name="a row of before")))
    text = page.save(record("20210102T030405Z", sample(40))).read_text()
    assert text.index("2021-01-02 03:04") < text.rindex("2020-01-02 03:04")
    cells = '<td>a row</td><td><span class="pill red">40×</span></td><td><span class="pill amber">61.8×</span></td>'
    assert cells in text
    assert "a row of before" in text
    assert "a &lt;b&gt;note&lt;/b&gt;" in text
    assert not re.search(r"<script|<iframe|(src|href)=(?!\"data:,\")", text)


def test_a_damaged_record_is_left_out_of_the_history(home):
    files.write_text(home / "outputs/bench/20190101T000000Z.json", '{"rows": ')
    files.write_text(home / "outputs/bench/20190102T000000Z.json", "[]")
    page.save(record("20200102T030405Z", sample(61.8)))
    assert [run["stamp"] for run in page.history()] == ["20200102T030405Z"]


@pytest.mark.parametrize(
    ("values", "verdict"),
    [((60.0, 1e-9), "ok"), ((40.0, 1e-9), "short"), ((60.0, 1e-7), "short"), ((60.0, None), "short")],
    ids=["both hold", "too slow", "too far off", "not told"],
)
def test_a_row_is_ok_only_if_every_goal_holds(values, verdict):
    goals = (Goal("speed-up", values[0], "≥", 50, "×"), Goal("error", values[1], "≤", 1e-8))
    assert Row("a fit", "3 fits", goals=goals).verdict == verdict


def test_tasks_are_timed_in_turn_and_every_other_time_backwards():
    calls = []
    measure.in_turn(lambda: calls.append("peer"), lambda: calls.append("ours"), repeats=3)
    warm, *repeats = np.reshape(calls, (4, 2)).tolist()
    assert warm == repeats[0] == repeats[2] == ["peer", "ours"]
    assert repeats[1] == ["ours", "peer"]


def test_seconds_are_for_one_unit_of_work_on_either_side():
    times = measure.Pair(peer=np.array([4.0, 6.0, 5.0]) / 10, ours=np.array([1.0, 1.0, 2.0]) / 100)
    row = times.row(of="a fit", n="", peer="peer", goal=measure.speed_up(50))
    assert (row.peer_seconds, row.ours_seconds) == (0.5, 0.01)
    assert row.goals[0].value == pytest.approx(50)
    assert row.spread == pytest.approx((25, 60))


def test_growth_judges_the_steeper_doubling():
    seconds = np.array([[1.0, 1.0], [1.5, 1.5], [4.5, 4.5]])
    row = measure.growth(of="an event", n=[10, 20, 40], seconds=seconds)
    assert row.goals[0].value == pytest.approx(3)
    assert row.verdict == "short"


def test_our_splits_are_those_of_the_peer_on_a_small_case():
    assert [goal.value for goal in learning.purged_splits(TINY).goals if goal.what == "splits that differ"] == [0]


def test_textbook_greeks_are_slopes_of_the_textbook_price():
    o, step = options.sample(50), 1e-6
    up, down = (options.textbook_greeks(o._replace(spot=o.spot * (1 + sign * step)))[0] for sign in (1, -1))
    slope = (up - down) / (2 * step * o.spot)
    np.testing.assert_allclose(options.textbook_greeks(o)[1], slope, rtol=1e-4, atol=1e-7)


def test_scale_says_how_time_and_memory_grow_and_what_a_million_events_more_take():
    half = scale.Size(125, 250_000, 100_000, wall_seconds=60, cpu_seconds=100, peak_mib=1024, phases=[])
    whole = scale.Size(250, 500_000, 200_000, wall_seconds=90, cpu_seconds=220, peak_mib=2048, phases=[])
    *_, growth = scale.told(whole, half).splitlines()
    assert "processor time × 2.20" in growth and "memory × 2.00" in growth
    assert growth.endswith("a million events more: 10.0 GiB, 1200 s of processors")
