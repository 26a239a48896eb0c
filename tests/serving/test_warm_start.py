"""`learning.warm_start`: a training goes on from the one before, in walk-forward as in what is deployed."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from toy_strategy import SUCCESS, TOY, toy_events, toy_learning, toy_sample, toy_settings

from bq.core.errors import BadParameters
from bq.core.settings import Selection
from bq.learning import layers, model, walkforward
from bq.learning.layers import CLASSIFICATION
from bq.learning.warm import MODELS, Start
from bq.serving import candidate, onnx, registry

EARLIER, LATER, TREES = 400, 600, 150
LEARNING = {"model": "lightgbm", "warm_start": True}


def warm(name: str) -> dict:
    return {"model": name, "warm_start": True, "hyperparameters": {name: {"n_estimators": 20}}}


@pytest.fixture(scope="module")
def whole():
    return toy_sample(LATER)


@pytest.fixture(scope="module")
def starts(whole):
    """By model: fitted on the earlier events."""
    rows, through = np.arange(EARLIER), whole.events["t1_due"][EARLIER - 1]
    fitted = {
        name: model.fit(name, whole.rows(rows), n_classes=3, learning=toy_learning(model=name)) for name in MODELS
    }
    return {name: Start(one.base, through) for name, one in fitted.items()}


def trees(base) -> list:
    """What each tree of a booster splits on, in order."""
    if hasattr(base, "booster_"):
        return [tree["tree_structure"] for tree in base.booster_.dump_model()["tree_info"]]
    return base.get_booster().get_dump(dump_format="json")


@pytest.mark.parametrize("name", MODELS)
def test_the_trees_of_before_stay_and_the_new_ones_are_the_share_of_new_events(whole, starts, name):
    made = model.fit(name, whole, n_classes=3, learning=toy_learning(**LEARNING | {"model": name}), start=starts[name])
    before, now = trees(starts[name].base), trees(made.base)
    assert now[: len(before)] == before
    assert len(now) - len(before) == 3 * round(TREES * (LATER - EARLIER) / LATER)  # one a class and round


@pytest.mark.parametrize("name", MODELS)
def test_new_trees_learn_from_the_events_since_alone(whole, starts, name):
    """Outcomes of before are turned round: class means are others, not one tree is."""
    earlier = np.arange(len(whole.label)) < EARLIER
    other = whole._replace(label=np.where(earlier, 2 - whole.label, whole.label))
    learning = toy_learning(**LEARNING | {"model": name})
    made, again = (model.fit(name, one, n_classes=3, learning=learning, start=starts[name]) for one in (whole, other))
    assert trees(made.base) == trees(again.base)
    assert not np.array_equal(made.prior, again.prior)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n_classes", [3, 0], ids=["classes", "number"])
def test_the_graph_answers_as_a_model_that_went_on(whole, starts, name, n_classes):
    learning, start = toy_learning(**LEARNING | {"model": name}), starts[name]
    sample = whole if n_classes else whole._replace(label=whole.outcome)
    if not n_classes:
        earlier = model.fit(name, sample.rows(np.arange(EARLIER)), n_classes=0, learning=learning)
        start = Start(earlier.base, start.through)
    made = model.fit(name, sample, n_classes=n_classes, learning=learning, start=start)
    parity = onnx.parity(made, onnx.export(made), sample.x, trade_above=0.0, seed=1)
    assert parity.holds and parity.flips == 0


def test_with_too_few_events_since_it_begins_anew(whole, starts):
    late = Start(starts["lightgbm"].base, whole.events["t1_due"][LATER - 60])
    learning = toy_learning(**LEARNING)
    anew = model.fit("lightgbm", whole, n_classes=3, learning=learning)
    assert trees(model.fit("lightgbm", whole, n_classes=3, learning=learning, start=late).base) == trees(anew.base)


@pytest.mark.parametrize(
    "changes",
    [{"model": "stack"}, {"model": "elastic_net"}, {"model": "lightgbm", "select": Selection(features=2)}],
    ids=["a stack", "a linear model", "selected features"],
)
def test_what_cannot_go_on_is_refused_before_anything_runs(changes):
    with pytest.raises(BadParameters, match=r"learning\.warm_start"):
        layers.check(toy_learning(warm_start=True, **changes), CLASSIFICATION)


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    return toy_events(sessions=120, symbols=12)


SETTINGS = toy_settings(learning=warm("lightgbm") | {"folds": 3, "newest_days": 45})


@pytest.fixture(scope="module")
def training(events) -> walkforward.Training:
    return walkforward.train(events, TOY, SETTINGS)


def test_each_fold_goes_on_from_the_fold_before_and_the_first_model_from_the_last_fold(events, training):
    """A training on data that end with a fold's test block is the same up to there, whatever comes later."""
    assert len(training.ends) == 4 and list(training.ends) == sorted(set(training.ends))
    assert training.ends[-1] == training.trained_through
    cold = walkforward.train(
        events, TOY, toy_settings(learning=warm("lightgbm") | {"folds": 3, "newest_days": 45, "warm_start": False})
    )
    first, later = (pl.col("fold") == 1), (pl.col("fold") > 1)
    assert_frame_equal(training.oos.filter(first), cold.oos.filter(first), check_exact=True)
    assert training.oos.filter(later)["expected"].to_list() != cold.oos.filter(later)["expected"].to_list()
    assert cold.ends == ()
    since = pl.col("t0") > training.oos.filter(pl.col("fold") == 2)["t0"].max()
    turned = pl.when(since & pl.col("outcome").is_not_null()).then(-pl.col("outcome")).otherwise(pl.col("outcome"))
    spoilt = walkforward.train(events.with_columns(outcome=turned), TOY, SETTINGS)
    known = pl.col("fold") <= 2
    assert_frame_equal(training.oos.filter(known), spoilt.oos.filter(known), check_exact=True)


def test_the_deployed_model_is_made_again_from_the_ends_of_its_trainings(events, training):
    again = walkforward.train(events, TOY, SETTINGS, ends=training.ends)
    assert onnx.export(again.artefact) == onnx.export(training.artefact)
    assert again.ends == training.ends
    fewer = walkforward.train(events, TOY, SETTINGS, ends=training.ends[:1])
    assert fewer.ends == (training.ends[0], training.ends[-1])
    assert onnx.export(fewer.artefact) != onnx.export(training.artefact)


def test_a_retrain_goes_on_from_what_is_deployed_of_the_same_recipe(events, training, tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    assert candidate.ends_of(SETTINGS.namespace, TOY, SETTINGS) == []
    success = walkforward.train(events, TOY, SETTINGS, task=SUCCESS)
    made = candidate.make(training, success, events, strategy=TOY, settings=SETTINGS)
    registry.deploy(SETTINGS.namespace, made.artefact, reason="test")
    assert tuple(candidate.ends_of(SETTINGS.namespace, TOY, SETTINGS)) == training.ends
    assert all(isinstance(end, dt.datetime) and end.tzinfo for end in made.success.card.ends)
    for other in ({"seed": 8}, {"warm_start": False}):
        changed = SETTINGS.model_copy(update={"learning": SETTINGS.learning.model_copy(update=other)})
        assert candidate.ends_of(changed.namespace, TOY, changed) == []
