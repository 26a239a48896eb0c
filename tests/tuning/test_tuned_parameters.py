"""What a search writes is a parameter file like the one it began with."""

import pytest
from hypothesis import given as for_all
from hypothesis import settings as how
from hypothesis import strategies as st

from bq import strategies
from bq.core import params, paths
from bq.core.errors import BadParameters
from bq.strategies.breakout import STRATEGY
from bq.strategies.breakout.settings import BreakoutSettings
from bq.tuning import parameters
from bq.tuning.parameters import applied, rounded, values_of
from bq.tuning.strategy import ranges_of

BREAKOUT = paths.CHECKOUT / "parameters" / "breakout.yaml"
RANGES = ranges_of(STRATEGY)
TUNED = {
    "exit.hard_stop_atr_mult": 2.3000000000000003,
    "exit.exit_ma": 20,
    "entry.fast_clearance": 0.0,
    "risk.max_positions": 6,
    "learning.hyperparameters.lightgbm.num_leaves": 9,
    "learning.hyperparameters.lightgbm.reg_lambda": 0.123456789,
}


def written(tmp_path, source, values, model):
    target = tmp_path / "out.yaml"
    parameters.write(target, values, model, source=source, note="one\ntwo")
    return target


def test_an_optimised_file_differs_from_its_source_in_the_tuned_values_alone(tmp_path):
    before = params.load(BREAKOUT, BreakoutSettings)
    after = params.load(written(tmp_path, BREAKOUT, TUNED, BreakoutSettings), BreakoutSettings)
    changed = params.differences(before.model_dump(), after.model_dump())
    assert {name for name, _, _ in changed} == {
        *(name for name in TUNED if not name.startswith("learning")),
        "learning.hyperparameters.lightgbm",
    }
    assert values_of(after, TUNED) == {name: rounded(value) for name, value in TUNED.items()}


def test_an_optimised_file_keeps_order_and_comments(tmp_path):
    lines = written(tmp_path, BREAKOUT, {"exit.exit_ma": 20}, BreakoutSettings).read_text().splitlines()
    source = BREAKOUT.read_text().splitlines()
    assert lines[:2] == ["# one", "# two"]
    changed = [(old, new) for old, new in zip(source, lines[2:], strict=True) if old != new]
    assert changed == [(old, old.replace("50", "20", 1)) for old, _ in changed]
    assert len(changed) == 1


@pytest.mark.parametrize("name", sorted(strategies.MODULES))
def test_every_shipped_file_can_be_written_again(name, tmp_path):
    source, model = paths.parameters(name), strategies.get(name).settings
    assert params.load(written(tmp_path, source, {}, model), model) == params.load(source, model)


EXTENDED = sorted((paths.CHECKOUT / "parameters" / "simulated").glob("*.yaml"))
MADE = paths.CHECKOUT / "tests" / "made_by_0_1"


@pytest.mark.parametrize("source", EXTENDED, ids=lambda path: path.stem)
def test_an_optimised_file_stands_alone_where_its_source_extends_another(source, tmp_path):
    """It is read in the folder of a run, and still when what was extended has changed."""
    model = strategies.get(source.stem.partition("_")[0]).settings
    target = written(tmp_path, source, {"learning.hyperparameters.lightgbm.num_leaves": 9}, model)
    assert "\nextends:" not in target.read_text()
    changed = params.differences(params.load(source, model).model_dump(), params.load(target, model).model_dump())
    assert {name.removesuffix(".num_leaves") for name, _, _ in changed} == {"learning.hyperparameters.lightgbm"}


@pytest.mark.parametrize("source", sorted(MADE.rglob("breakout_optimised.yaml")), ids=lambda path: path.stem)
def test_what_0_1_tuned_can_be_tuned_again(source, tmp_path):
    target = written(tmp_path, source, {"exit.exit_ma": 50}, BreakoutSettings)
    assert params.load(target, BreakoutSettings) == applied(params.load(source, BreakoutSettings), {"exit.exit_ma": 50})


def test_a_file_that_cannot_be_read_back_as_it_was_meant_is_refused(tmp_path):
    with pytest.raises(BadParameters, match="exit_ma"):
        written(tmp_path, BREAKOUT, {"exit.exit_ma": 200}, BreakoutSettings)


@how(max_examples=25, deadline=None)
@for_all(st.fixed_dictionaries({name: st.floats(0, 1) for name in RANGES}))
def test_every_value_of_the_ranges_is_one_that_the_rules_implement(shares):
    base, values = params.load(BREAKOUT, BreakoutSettings), {}
    for name, share in shares.items():
        of = RANGES[name]
        if hasattr(of, "choices"):
            values[name] = of.choices[min(int(share * len(of.choices)), len(of.choices) - 1)]
        else:
            exact = of.low + share * (of.high - of.low)
            values[name] = int(exact) if isinstance(of.low, int) else exact
    assert values_of(applied(base, values), values) == {name: rounded(value) for name, value in values.items()}
