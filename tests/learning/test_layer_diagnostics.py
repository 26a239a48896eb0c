"""What a stack is made of: the weights it has, and what it adds to each of its layers."""

import datetime as dt
from functools import cache

import numpy as np
import polars as pl
import pytest
from planted_panel import STATES, learning, panel

from bq.learning import layer_diagnostics, model
from bq.stats.blocks import Blocks

BLOCKS = Blocks(1.5, alpha=0.025, draws=1000, seed=1)
REGIMES = ("bear", "neutral", "bull")


@cache
def fitted(**stack: object) -> model.FittedModel:
    changes = {"models": ["elastic_net", "lightgbm"], "min_regime_dates": 20, **stack}
    sample = panel(symbols=10, sessions=150).sample
    return model.fit("stack", sample, n_classes=0, learning=learning(stack=changes))


@pytest.mark.parametrize("meta", ["blend", "elastic_net"])
def test_fitted_weights_are_how_far_the_stack_moves_with_each_layer(meta):
    """In each regime as if it were certain: the answer's slope in each layer's, by asking the stack."""
    whole = fitted(meta=meta)
    stack, found = whole.base, layer_diagnostics.weights(whole, REGIMES)
    assert found["layer"].to_list() == ["elastic_net", "lightgbm", "regimes"]
    for r, name in enumerate(REGIMES):
        x = np.zeros((1, STATES), np.float32)
        x[0, r] = 1.0
        columns = {layer: np.zeros((1, 1)) for layer in stack.names}
        at_zero = stack.combine(columns, x)[0, 0]
        slopes = [stack.combine({**columns, layer: np.ones((1, 1))}, x)[0, 0] - at_zero for layer in stack.names]
        assert found[f"{name}: fitted"].to_list() == pytest.approx(np.array(slopes) / np.sum(slopes), abs=1e-4)
    assert found["bull: prior"].to_list() == pytest.approx(np.array([0.3, 0.8, 0.5]) / 1.6, abs=1e-6)


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        pytest.param("weights", lambda found: found["average"].to_list(), id="average"),
        pytest.param("lightgbm", lambda found: [None] * 3, id="trees-have-none"),
    ],
)
def test_fitted_weights_without_coefficients(meta, expected):
    found = layer_diagnostics.weights(fitted(meta=meta), REGIMES)
    assert found["neutral: fitted"].to_list() == expected(found)


def ranks(worth: dict[str, float]) -> pl.DataFrame:
    """As `layer_ic`, of layers that say `worth` times the outcome plus noise of their own; 200 sessions of 20."""
    rng, n, sessions = np.random.default_rng(3), 20, 200
    outcome = rng.standard_normal(n * sessions)
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=i) for i in range(sessions) for _ in range(n)]
    ids = [str(i) for i in range(len(outcome))]
    oos = pl.DataFrame({"event_id": ids, "session": days, "outcome": outcome, "score": rng.standard_normal(len(ids))})
    said = {name: much * outcome + rng.standard_normal(len(ids)) for name, much in worth.items()}
    layers = pl.concat(pl.DataFrame({"event_id": ids, "layer": k, "expected": v}) for k, v in said.items())
    return layer_diagnostics.layer_ic(layers, oos, blocks=BLOCKS)


def test_a_stack_that_loses_to_a_part_beyond_chance_is_told():
    ic = ranks({"good": 0.4, "alike": 0.1, "bad": -0.3, "stack": 0.1})
    assert layer_diagnostics.sides(ic) == (["bad", "rule score"], ["good"], ["alike"])
    weights = pl.DataFrame({"layer": ["good", "alike"], "bear: fitted": [1.0, 0.0], "bull: fitted": [1.0, 0.0]})
    lost, dropped = layer_diagnostics.notices(ic, weights)
    assert lost.startswith(
        "the stack has a lower rank IC out of sample than some of its layers (stack − layer, 200 sessions)"
    )
    assert "good -0." in lost and "bad" not in lost and "alike" not in lost
    assert dropped == "the artefact's stack gives no weight to alike; see the table of weights"


def test_a_stack_that_loses_to_the_rule_score_alone_is_no_worse_than_its_parts():
    ic = ranks({"part": -0.5, "stack": -0.3})
    assert layer_diagnostics.sides(ic) == (["part"], ["rule score"], [])
    weights = pl.DataFrame({"layer": ["part"], "fitted": [1.0]})
    assert layer_diagnostics.notices(ic, weights) == []


def test_rank_ics_are_resampled_in_blocks_of_two_holding_times(monkeypatch):
    """Other figures in blocks of 1.5."""
    seen, plain = [], Blocks.means
    monkeypatch.setattr(Blocks, "means", lambda blocks, values: seen.append(blocks.block) or plain(blocks, values))
    ranks({"part": 0.3, "stack": 0.3})
    assert BLOCKS.block == 1.5 and seen == [2.0, 2.0]
