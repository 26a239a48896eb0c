"""What the shipped files of version 0.1 set, the shipped files set still."""

import datetime as dt
import importlib
import json
from pathlib import Path

import pytest

from bq import strategies
from bq.core import params, paths

KNOWN = json.loads((Path(__file__).parent / "effective_0_1.json").read_text())
MADE = paths.CHECKOUT / "tests" / "made_by_0_1"
CARDS = sorted(MADE.glob("models/*/*/card.json"))
WRITTEN = sorted(MADE.rglob("*.yaml"))
VARIANTS = {
    "breakout": "bq.strategies.breakout.build",
    "butterfly": "bq.strategies.butterfly",
    "forecast": "bq.strategies.forecast.build",
}
GONE = {"temporal.delay_days": 1}  # what nobody could set to anything else
NEW = {"market.columns": {}}  # what 0.1 did not know, as it was then (names that are null by default differ nowhere)


def model_of(strategy: str):
    return strategies.get(strategy).settings


def effective(path: Path, strategy: str) -> dict:
    return params.load(path, model_of(strategy)).model_dump(mode="json")


def strategy_of(values: dict) -> str:
    return values["strategy"]


def test_all_seven_files_are_still_there():
    root = paths.CHECKOUT / "parameters"
    assert sorted(KNOWN) == sorted(str(path.relative_to(root)) for path in root.rglob("*.yaml"))


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_no_effective_value_of_a_shipped_file_changed(name):
    before = KNOWN[name]["parameters"]
    after = effective(paths.CHECKOUT / "parameters" / name, strategy_of(before))
    changed = {name: old for name, old, new in params.differences(before, after) if name not in NEW}
    assert changed == {name: old for name, old in GONE.items() if before["strategy"] == "forecast"}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_no_event_of_a_shipped_file_has_another_id(name):
    strategy = strategy_of(KNOWN[name]["parameters"])
    own = importlib.import_module(VARIANTS[strategy])
    settings = params.load(paths.CHECKOUT / "parameters" / name, model_of(strategy))
    assert own.variant(settings) == KNOWN[name]["variant"]


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_parameters_that_0_1_recorded_are_read(name):
    """As a run and a model keep them: whole, with dates as text."""
    before = KNOWN[name]["parameters"]
    found = model_of(strategy_of(before)).model_validate_json(json.dumps(before))
    assert found.model_dump(mode="json") == effective(paths.CHECKOUT / "parameters" / name, strategy_of(before))


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_parameters_in_a_model_of_0_1_are_read(path):
    before = json.loads(path.read_text())["parameters"]
    found = model_of(strategy_of(before)).model_validate_json(json.dumps(before))
    changed = params.differences(before, found.model_dump(mode="json"))
    assert {name: new for name, _, new in changed} == NEW


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(MADE)))
def test_a_parameter_file_that_0_1_wrote_gives_the_settings_that_it_gave(path):
    """Dates belong to a source: a file that names another one than the default reads all of its bars."""
    stated = params.layers.read_yaml(path.read_text(), where=str(path))
    found = params.load(path, model_of(strategy_of(stated)))
    changed = params.differences(_plain(stated), found.model_dump(mode="json"))
    assert {name for name, before, _ in changed if before is not None} == set()
    assert {name: after for name, _, after in changed if after is not None} == NEW


def _plain(value):
    if isinstance(value, dict):
        return {name: _plain(own) for name, own in value.items()}
    return value.isoformat() if isinstance(value, dt.date) else value
