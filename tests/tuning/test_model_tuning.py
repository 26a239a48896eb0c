"""Hyperparameters are searched before anything that the gate will look at."""

import datetime as dt

import polars as pl
import pytest
from toy_strategy import TOY, toy_events, toy_settings

from bq.core.errors import BadData
from bq.learning import layers, splits
from bq.serving import ledger
from bq.strategies.events import matured
from bq.tuning import model
from bq.tuning.parameters import applied

EVENTS = toy_events(sessions=140, symbols=8)


def settings(model_name: str = "elastic_net", *, trials: int = 4):
    given = toy_settings(learning={"model": model_name, "stack": {"inner_folds": 2, "inner_share": 0.5}})
    return given.model_copy(update={"tuning": given.tuning.model_copy(update={"trials": trials})})


def tuned(events: pl.DataFrame = EVENTS, *, keep: bool = False, **changes) -> dict:
    return model.tune(events, TOY, settings(**changes), keep=keep).results


def first_test(given) -> dt.datetime:
    ripe = matured(EVENTS, cut=EVENTS["t1"].max())
    return splits.purged_walk_forward(ripe, given.learning)[0].start


def test_the_training_part_ends_before_the_first_test_block_and_the_newest_window():
    part = model.training_part(EVENTS, TOY, settings())
    assert part["t1_due"].max() < first_test(settings())
    assert len(part) > 200


def test_what_happens_in_the_test_blocks_changes_no_trial():
    late = pl.col("t1_due") >= first_test(settings())
    poison = EVENTS.with_columns(
        outcome=pl.when(late).then(-5.0 * pl.col("outcome")).otherwise(pl.col("outcome")),
        signal=pl.when(late).then(-9.0 * pl.col("signal")).otherwise(pl.col("signal")),
    )
    clean, poisoned = tuned(), tuned(poison)
    assert clean["trials"] == poisoned["trials"]
    assert clean["figures"] == poisoned["figures"]


@pytest.mark.parametrize("name", ["elastic_net", "lightgbm"])
def test_the_winner_is_the_best_of_the_trials_and_settings_take_it(name):
    found = tuned(model_name=name, trials=3)
    values = [row["value"] for row in found["trials"]]
    assert found["winner"]["number"] == values.index(max(values))
    assert max(values) == pytest.approx(found["figures"][0]["winner"]["value"])
    taken = applied(settings(name), found["winner"]["values"]).learning
    layers.check(taken, layers.CLASSIFICATION)
    assert set(taken.hyperparameters[name]) == set(layers.LAYERS[name, layers.CLASSIFICATION].ranges)


@pytest.mark.parametrize(("name", "kind"), sorted(layers.LAYERS), ids=str)
def test_every_layer_can_be_tuned(name, kind):
    regression = kind == layers.REGRESSION
    from dataclasses import replace

    from bq.strategies.task import Task

    strategy = replace(TOY, task=lambda given: Task()) if regression else TOY
    ranges, given = model.search_space(strategy, settings(name))
    keys = layers.LAYERS[name, kind].ranges
    assert set(given) == set(ranges) == {f"learning.hyperparameters.{name}.{key}" for key in keys}
    assert all(of.low <= given[key] <= of.high for key, of in ranges.items())


def test_a_stack_is_tuned_through_its_base_models():
    ranges, _ = model.search_space(TOY, settings("stack"))
    assert {name.split(".")[2] for name in ranges} == {*settings("stack").learning.stack.models, "meta"}
    assert "learning.hyperparameters.meta.shrinkage" in ranges


def test_an_interrupted_search_goes_on_as_if_it_had_not_been_and_every_trial_is_in_the_ledger(home):
    tuned(keep=True, trials=2)
    found = tuned(keep=True)
    assert found["trials"] == tuned()["trials"]
    part = model.training_part(EVENTS, TOY, settings())
    seen = ledger.on(settings().namespace, part["session"], part["symbol"].unique()[:1])
    assert [name.split("/")[::2] for name in seen.columns[1:]] == [["model", str(i)] for i in range(4)]


def test_it_says_that_the_winner_still_has_to_pass_the_gate():
    verdict = tuned(trials=2)["verdict"]
    assert "still has to pass the gate" in verdict["headline"]
    assert (verdict["decision"], verdict["components"]) == ("done", [])


def test_too_little_to_train_on_says_so():
    with pytest.raises(BadData, match="must have room for 2 inner folds"):
        tuned(toy_events(sessions=60, symbols=2))
