"""What the shipped files of version 0.1 set, the shipped files set still."""

import datetime as dt
import importlib
import json
from pathlib import Path

import pytest

from bq import strategies
from bq.core import params, paths
from bq.core.yaml_text import read_yaml

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
COLUMNS = {"market.columns": {}, "market.beside": [], "market.quoted": True, "policy.above": 0.0}
TRACKS = {
    "butterfly": ("ButterAI", "ButterBaseline"),
    "forecast": ("ForecastAI", "ForecastRule"),
    "breakout": ("BreakoutAI", "BreakoutRule"),
}
TRADING = {
    "seed": 7,
    "capital": 1_000_000.0,
    "risk_per_trade": 0.01,
    "max_positions": 20,
    "max_daily_loss": 0.05,
    "max_daily_orders": 100,
    "symbols": None,
    "reprice_steps": 3,
    "entry_window_minutes": 60,
    "close_before_expiry_days": 2,
    "dry_run": {"seed": 7, "partial_fills": 0.05, "rejects": 0.01, "lost_answers": 0.02},
    "ibkr": {"host": "127.0.0.1", "port": 7497, "client_id": 17, "account": None},
}
WARM = {"learning.warm_start": False, "learning.on_harm": "retrain"}
NEW = {  # what 0.1 did not know, and the shipped value (names that are null by default differ nowhere)
    "butterfly": {
        **COLUMNS,
        "structure.min_wing_sigmas": 0.25,
        "costs.max_cost_share": 0.4,
        "score.weights": "static",
    },
    "forecast": {**COLUMNS, "portfolio.tranches": 5},
    "breakout": {**COLUMNS, "policy.k": 4},
}
SIMULATED = {"market.simulation.drift": 0.0, "market.simulation.then": 0.0}


def new(values: dict, orders: int = 100) -> dict:
    """What is new in the settings that 0.1 gave. orders : that a day may have."""
    by_model, by_rule = TRACKS[values["strategy"]]
    tracks = [
        {"name": by_model, "share": 0.7, "decides": "champion", "weights": None},
        {"name": by_rule, "share": 0.3, "decides": "rule", "weights": None},
    ]
    trading = {"trading": {"tracks": tracks, **TRADING}}
    trading["trading"]["max_daily_orders"] = orders
    return NEW[values["strategy"]] | WARM | trading | (SIMULATED if values.get("market", {}).get("simulation") else {})


ORDERS = {"simulated/forecast.yaml": 400}  # a day, where 0.1 knew no trading: a book of 60 names needs them


LEARNER = {  # of the forecast: what 0.1 shipped, and what is shipped now, for more of what a planted market shows
    "learning.half_life_days": (365.0, None),
    "learning.hyperparameters.lightgbm.num_leaves": (None, 4),
    "learning.hyperparameters.lightgbm.reg_lambda": (None, 3000.0),
    "learning.hyperparameters.xgboost.reg_lambda": (None, 3000.0),
    "learning.select.max_correlation": (0.9, 0.98),
    "learning.stack.models": (["elastic_net", "xgboost", "lightgbm"], ["factor_weights", "xgboost", "lightgbm"]),
    "learning.stack.regime_model": ("elastic_net", "factor_weights"),
    "learning.stack.regime_weights.elastic_net": ([0.8, 0.5, 0.3], None),
    "learning.stack.regime_weights.factor_weights": (None, [0.8]),
    "learning.stack.regime_weights.lightgbm": ([0.3, 0.5, 0.8], [0.15]),
    "learning.stack.regime_weights.regimes": (None, [0.5]),
    "learning.stack.regime_weights.xgboost": ([0.5, 0.5, 0.5], [0.15]),
}
JUDGED = {  # longer than 0.1 did, where a weak signal is planted
    "simulated/forecast.yaml": {"learning.folds": (4, 6), "learning.newest_days": (183, 365)},
}


def learner(name: str) -> dict:
    """What is set to another value in a shipped file, as before and now."""
    return (LEARNER if strategy_of(KNOWN[name]["parameters"]) == "forecast" else {}) | JUDGED.get(name, {})


def by_todays_names(values: dict) -> dict:
    """What 0.1 wrote, with `gate.top_k` as `policy.k`; null where it did not apply."""
    gate = dict(values.get("gate", {}))
    moved = {"policy": {"k": gate.pop("top_k")}} if "top_k" in gate else {}
    return {**values, **({"gate": gate} if gate else {}), **moved}


def model_of(strategy: str):
    return strategies.get(strategy).settings


def effective(path: Path, strategy: str) -> dict:
    return params.load(path, model_of(strategy)).model_dump(mode="json")


def strategy_of(values: dict) -> str:
    return values["strategy"]


def test_all_seven_files_are_still_there():
    root = paths.CHECKOUT / "parameters"
    assert KNOWN.keys() <= {str(path.relative_to(root)) for path in root.rglob("*.yaml")} and len(KNOWN) == 7


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_no_effective_value_of_a_shipped_file_changed(name):
    before = KNOWN[name]["parameters"]
    after = effective(paths.CHECKOUT / "parameters" / name, strategy_of(before))
    whole = params.differences(by_todays_names(before), after)
    learnt = learner(name)
    assert {name: (old, new) for name, old, new in whole if name in learnt} == learnt
    changed = [row for row in whole if row[0] not in learnt]
    assert {name: old for name, old, new in changed if new is None} == (
        GONE if before["strategy"] == "forecast" else {}
    )
    found = {name: new for name, old, new in changed if new is not None}
    assert found == new(before, ORDERS.get(name, 100))
    assert all(old is None for _, old, new in changed if new is not None)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_no_event_of_a_shipped_file_has_another_id(name):
    """Except where other structures are chosen: those are other events, and must not be taken for the old ones."""
    strategy = strategy_of(KNOWN[name]["parameters"])
    own = importlib.import_module(VARIANTS[strategy])
    settings = params.load(paths.CHECKOUT / "parameters" / name, model_of(strategy))
    assert (own.variant(settings) == KNOWN[name]["variant"]) == (strategy != "butterfly")


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_parameters_that_0_1_recorded_are_read(name):
    """As a run and a model keep them: whole, with dates as text."""
    before = KNOWN[name]["parameters"]
    found = model_of(strategy_of(before)).recorded(before)
    shipped = effective(paths.CHECKOUT / "parameters" / name, strategy_of(before))
    changed = params.differences(found.model_dump(mode="json"), shipped)
    orders = {"trading.max_daily_orders": (100, ORDERS[name])} if name in ORDERS else {}
    assert {name: (old, new) for name, old, new in changed} == learner(name) | orders


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_parameters_in_a_model_of_0_1_are_read(path):
    before = json.loads(path.read_text())["parameters"]
    found = model_of(strategy_of(before)).recorded(before)
    changed = params.differences(by_todays_names(before), found.model_dump(mode="json"))
    assert {name: (old, new) for name, old, new in changed} == {name: (None, new) for name, new in new(before).items()}


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(MADE)))
def test_a_parameter_file_that_0_1_wrote_gives_the_settings_that_it_gave(path):
    """Dates belong to a source: a file that names another one than the default reads all of its bars."""
    stated = read_yaml(path.read_text(), where=str(path))
    found = params.load(path, model_of(strategy_of(stated)))
    changed = params.differences(by_todays_names(_plain(stated)), found.model_dump(mode="json"))
    assert {name for name, before, _ in changed if before is not None} == set()
    assert {name: after for name, _, after in changed if after is not None} == new(stated)


def _plain(value):
    if isinstance(value, dict):
        return {name: _plain(own) for name, own in value.items()}
    return value.isoformat() if isinstance(value, dt.date) else value
