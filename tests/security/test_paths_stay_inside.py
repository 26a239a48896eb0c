"""No name that a user or a file gives leads out of the home."""

import datetime as dt
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import bq
from bq import runs
from bq.core import paths
from bq.core.errors import BadParameters, BQError
from bq.jobs import explain, housekeeping, request
from bq.workbench import notebooks

ROOT = Path(__file__).resolve().parents[2]
ESCAPES = ["../../x", "..", "/etc/passwd", "latest/../..", ".", "a/b", "x\0y", "~root", "C:\\x", "<script>"]
VARIABLES = ("STRATEGY", "PARAMS", "SET", "SYMBOLS", "FROM", "TO", "DATE", "RUN", "EVENT", "A", "B", "FORCE", "QUICK")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home inside a folder of its own, so that what leaves it is seen; outputs/ holds one run."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "parent" / "home"
    monkeypatch.setenv("BQ_HOME", str(home))
    folder = home / "outputs" / "20260101T000000Z_butterfly"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"run_id": "r", "strategy": "butterfly", "job": "retrain", "status": "kept"}')
    (tmp_path / "parent" / "run.json").write_text("{}")
    return home


def everything(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("variable", ["RUN", "A", "B"])
@pytest.mark.parametrize("value", ESCAPES, ids=ascii)
def test_a_run_is_a_folder_of_outputs_and_nothing_else(home, variable, value):
    with pytest.raises(BadParameters, match=f"{variable} must be"):
        runs.load(value, variable=variable)


@pytest.mark.parametrize("value", ESCAPES, ids=ascii)
def test_an_event_is_looked_up_and_never_a_path(home, value):
    known = pl.DataFrame(
        {"event_id": ["0123456789abcdef0123456789abcdef"], "symbol": ["A"], "session": [dt.date(2020, 1, 2)]}
    )
    asked = request.read()._replace(event=value)
    with pytest.raises(BadParameters, match=r"EVENT: no event id begins with .*; check PARAMS"):
        explain._find(known, asked, None)


@pytest.mark.parametrize("value", [*ESCAPES, "butterfly/../butterfly", "butterfly-simulated/.."], ids=ascii)
def test_a_strategy_is_a_registered_name(home, monkeypatch, value):
    if "\0" not in value:  # no environment holds a NUL
        monkeypatch.setenv("STRATEGY", value)
        with pytest.raises(BadParameters, match="STRATEGY must name a strategy"):
            request.read()
    with pytest.raises(BadParameters):
        bq.champion(value)


TARGETS = {
    "report": {"RUN": "../../x"},
    "history": {"RUN": "../../x"},
    "diff": {"A": "../../x", "B": "/etc"},
    "verify": {"STRATEGY": "../x"},
    "status": {"PARAMS": "/etc/passwd"},
    "rollback": {"SET": "strategy=../../x"},
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_given_a_path_for_a_name_refuses_and_writes_nothing(home, tmp_path, target):
    before = everything(tmp_path)
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES} | TARGETS[target]
    command = [sys.executable, "-m", "bq", target]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "Traceback" in done.stderr) == (4, False), done.stderr
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    "symbol", ["../../../escaped", "/etc/escaped", "..", "a/b", "<script>alert(1)</script>"], ids=ascii
)
def test_a_symbol_names_no_file(home, tmp_path, monkeypatch, symbol):
    folder = home / "data" / "raw" / "bars"
    folder.mkdir(parents=True)
    (folder / "all.csv").write_text(f"symbol,date,close\n{symbol},2020-01-02,1\n{symbol},2020-01-03,1.5\n")
    before = set(everything(tmp_path))
    monkeypatch.setenv("SET", "market.source=files")
    housekeeping.check_data(request.read())
    written = {str(home / f"outputs/check_data/bars_{name}.csv") for name in ("findings", "summary")}
    assert set(everything(tmp_path)) - before == written


def plain(path):
    return path.read_text().replace("{escaped(symbol)}", "")


def test_no_file_is_named_by_what_data_says():
    """Paths are made of settings' names, hashes, dates and constants; a symbol is none of them, unless escaped."""
    made = re.compile(r"/ *f?[\"'][^\"']*\{[^}]*symbol|with_name\([^)]*symbol|\.joinpath\([^)]*symbol")
    named = [path.name for path in (ROOT / "bq").rglob("*.py") if made.search(plain(path))]
    assert named == []


def test_a_link_that_leads_out_of_the_run_folder_is_no_way_out(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "out").symlink_to(tmp_path)
    limits = {"cell_timeout_seconds": 60, "deadline_seconds": 60}
    with pytest.raises(BadParameters, match="must be written inside"):
        notebooks.execute(
            tmp_path / "in.ipynb", tmp_path / "run/out/x.ipynb", parameters={}, run_dir=tmp_path / "run", **limits
        )


def test_files_of_the_user_are_read_where_links_point_but_named_by_the_link(home):
    """A link in data/raw/bars/ is the user's own way to bring a file; findings never show the machine's folders."""
    folder = paths.raw_bars()
    folder.mkdir(parents=True)
    (folder / "A.csv").symlink_to("/etc/hostname")
    from bq import market
    from bq.core.settings import Market

    with pytest.raises(BQError) as caught:
        market.load(Market(source="files"))
    assert str(caught.value).startswith("A.csv: ") and "/etc" not in str(caught.value)
