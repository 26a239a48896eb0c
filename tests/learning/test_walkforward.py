"""Training end to end on toy events: what is used for what, and that nothing leaks."""

import dataclasses
import datetime as dt

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from toy_strategy import FEATURES, FIRST, TASK, TOY, ToySettings, toy_events, toy_settings

from bq.core.errors import BadData, BadParameters
from bq.core.settings import Selection, Stack
from bq.learning import layers, metrics, walkforward
from bq.learning.layers import CLASSIFICATION, Layer
from bq.serving import onnx
from bq.stats.rank_ic import rank_ic
from bq.strategies.task import Task

ABSURD = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    return toy_events()


@pytest.fixture(scope="module")
def training(events) -> walkforward.Training:
    return walkforward.train(events, TOY, toy_settings())


def poisoned(events: pl.DataFrame, rows: pl.Expr) -> pl.DataFrame:
    """Absurd features, sizes and outcomes in the chosen rows; ids, times, labels and categories stay."""
    absurd = {name: pl.when(rows).then(pl.lit(1e9)).otherwise(pl.col(name)) for name in FEATURES.columns}
    changed = events.with_columns(**{name: value.cast(pl.Float32) for name, value in absurd.items()})
    return changed.with_columns(
        width=pl.when(rows).then(99.0).otherwise(pl.col("width")).cast(pl.Float32),
        outcome=pl.when(rows & pl.col("outcome").is_not_null()).then(77.0).otherwise(pl.col("outcome")),
        weight=pl.when(rows).then(50.0).otherwise(pl.col("weight")).cast(pl.Float32),
    )


def test_every_test_event_is_predicted_once_with_all_columns(events, training):
    oos = training.oos
    assert oos["event_id"].is_unique().all()
    probabilities = [f"p_{name}" for name in TASK.classes]
    priors = [f"prior_{name}" for name in TASK.classes]
    assert set(oos.columns) == {
        *walkforward.CARRIED,
        "model",
        "fold",
        "expected",
        "predicted",
        "threshold",
        "expected_above",
        "score_from",
        *probabilities,
        *priors,
    }
    assert oos.select(pl.sum_horizontal(probabilities)).to_series().to_numpy() == pytest.approx(1.0, abs=1e-6)
    assert oos["predicted"].to_list() == oos.select(probabilities).to_numpy().argmax(axis=1).tolist()
    assert oos.schema == training.newest.schema


def test_the_fold_table_adds_up(training):
    for row in training.folds.iter_rows(named=True):
        tested = training.oos.filter(pl.col("fold") == row["fold"])
        assert row["test"] == len(tested)
        assert (row["test_from"], row["test_to"]) == (tested["session"].min(), tested["session"].max())
        # weekly sessions of six events: a label of two weeks that ends on the day of the block touches it
        assert row["purged"] == 2 * 6


def test_only_matured_events_take_part_even_if_they_closed_early(events, training):
    cut = events["t1"].max()
    early = events.filter(pl.col("t1").is_not_null() & (pl.col("t1_due") > cut))
    assert len(early), "some events of the newest weeks closed early"
    used = {*training.oos["event_id"], *training.newest["event_id"]}
    assert not used & set(early["event_id"])
    assert training.newest["t1_due"].max() <= cut


def test_the_newest_window_changes_nothing_in_the_artefact(events, training):
    start = training.newest["t0"].min()
    assert training.trained_through < start
    spoilt = walkforward.train(poisoned(events, pl.col("t0") >= start), TOY, toy_settings())
    assert onnx.export(spoilt.artefact) == onnx.export(training.artefact)


@ABSURD
def test_test_rows_change_nothing_that_predicts_them(events, training):
    """Features of half of the test events are spoilt: the other half is predicted as before."""
    last = training.oos.filter(pl.col("fold") == 2)
    half = last["event_id"].gather_every(2)
    spoilt = walkforward.train(poisoned(events, pl.col("event_id").is_in(half.implode())), TOY, toy_settings())
    others = ~pl.col("event_id").is_in(half.implode())
    assert_frame_equal(training.oos.filter(others), spoilt.oos.filter(others), check_exact=True)


@ABSURD
def test_what_comes_later_changes_no_earlier_prediction(events, training):
    first = training.oos.filter(pl.col("fold") == 1)
    later = pl.col("t0") > first["t0"].max()
    spoilt = walkforward.train(poisoned(events, later), TOY, toy_settings())
    assert_frame_equal(first, spoilt.oos.filter(pl.col("fold") == 1), check_exact=True)


def test_the_same_inputs_give_the_same_numbers(events, training):
    again = walkforward.train(events.clone(), TOY, toy_settings())
    assert_frame_equal(training.oos, again.oos, check_exact=True)
    assert onnx.export(training.artefact) == onnx.export(again.artefact)


def test_the_number_of_workers_changes_no_number(events, monkeypatch):
    settings = toy_settings(learning={"model": "lightgbm", "compare": ["elastic_net"]})
    alone = walkforward.train(events, TOY, settings)
    monkeypatch.setenv("BQ_WORKERS", "2")
    together = walkforward.train(events, TOY, settings)
    assert_frame_equal(alone.oos, together.oos, check_exact=True)
    assert_frame_equal(alone.newest, together.newest, check_exact=True)
    assert_frame_equal(alone.folds, together.folds)
    assert onnx.export(alone.artefact) == onnx.export(together.artefact)
    assert alone.oos["model"].unique(maintain_order=True).to_list() == ["lightgbm", "elastic_net"]
    assert together.artefact.name == "lightgbm"


def test_a_base_model_is_one_factory_registered_by_name(events, monkeypatch):
    from sklearn.naive_bayes import GaussianNB

    monkeypatch.setitem(layers.LAYERS, ("naive_bayes", CLASSIFICATION), Layer(lambda seed: GaussianNB(), {}))
    training = walkforward.train(events, TOY, toy_settings(learning={"model": "naive_bayes"}))
    assert training.oos["model"].unique().to_list() == ["naive_bayes"]
    graph = onnx.export(training.artefact)
    assert onnx.parity(training.artefact, graph, FEATURES.matrix(events), trade_above=0.15, seed=0).holds
    names, shares = metrics.importance(training.artefact, FEATURES)
    assert names == list(FEATURES.columns)
    assert np.isnan(shares).all(), "it has no importances, and none are made up"


def test_a_planted_signal_is_found(training):
    ic = rank_ic(training.oos, by="expected")["ic"].mean()
    assert ic > 0.3
    names, shares = metrics.importance(training.artefact, FEATURES)
    assert names[int(np.argmax(shares))] == "signal"
    assert shares.sum() == pytest.approx(1.0)


def test_events_that_never_closed_are_refused(events):
    still_open = events.with_columns(t1=pl.lit(None, events["t1"].dtype), outcome=None, label=pl.lit(None, pl.Int64))
    with pytest.raises(BadData, match="at least one event must have matured"):
        walkforward.train(still_open, TOY, toy_settings())


def test_an_unknown_model_is_refused_before_anything_is_fitted(events):
    with pytest.raises(BadParameters, match="known: elastic_net, lightgbm"):
        walkforward.train(events, TOY, toy_settings(learning={"compare": ["prophet"]}))


def test_a_structure_that_appears_only_later_is_predicted(events, training):
    """A category without training events is answered by the pooled class means, not refused."""
    late = training.newest["t0"].min()
    changed = events.with_columns(kind=pl.when(pl.col("t0") >= late).then(5).otherwise(pl.col("kind")))
    newest = walkforward.train(changed, TOY, toy_settings()).newest
    assert newest["expected"].is_finite().all()


def test_event_times_are_utc(training):
    assert training.trained_through.utcoffset() == dt.timedelta(0)
    assert training.oos["t0"].min() > FIRST


REGRESSION = Task((), ())
STANDINGS = dataclasses.replace(TOY, task=lambda settings: REGRESSION)


def stacked(**learning: object) -> ToySettings:
    small = {"lightgbm": {"n_estimators": 30, "num_leaves": 7, "min_child_samples": 10}}
    stack = Stack(models=["elastic_net", "lightgbm"], inner_folds=2)
    return toy_settings(learning={"model": "stack", "stack": stack, "hyperparameters": small, **learning})


@pytest.fixture(scope="module")
def standings(events) -> walkforward.Training:
    return walkforward.train(events, STANDINGS, stacked(compare=["elastic_net"]))


def test_a_regression_predicts_standings_without_classes(standings):
    oos = standings.oos
    assert set(oos.columns) == {*walkforward.CARRIED, "model", "fold", "expected", "expected_above", "score_from"}
    assert oos.schema == standings.newest.schema
    z = pl.col("label")
    means = oos.filter(pl.col("model") == "stack").group_by("session").agg(z.mean().alias("mean"), z.std().alias("sd"))
    assert means["mean"].to_numpy() == pytest.approx(0.0, abs=1e-9)
    assert means["sd"].to_numpy() == pytest.approx(1.0)
    ic = {name: rank_ic(part, by="expected")["ic"].mean() for (name,), part in oos.group_by("model")}
    assert min(ic.values()) > 0.3


def test_every_layer_of_a_stack_is_seen_out_of_sample(standings):
    own = standings.oos.filter(pl.col("model") == "stack").select("event_id", "fold", "expected")
    wide = standings.layers.pivot("layer", index=["event_id", "fold"], values="expected")
    assert wide.columns == ["event_id", "fold", "elastic_net", "lightgbm", "average", "stack"]
    assert_frame_equal(wide.select("event_id", "fold", expected="stack"), own, check_exact=True)
    assert wide.null_count().sum_horizontal()[0] == 0


def test_what_a_stack_used_is_noted_for_each_fold_and_the_artefact(standings):
    notes = standings.notes
    assert notes["fold"].unique().sort().to_list() == [0, 1, 2]
    assert set(notes["model"]) == {"stack"}
    meta = notes.filter(pl.col("layer") == "meta")
    assert meta["what"].to_list() == ["blend"] * 3
    assert notes.filter(pl.col("layer") == "regimes")["what"].to_list() == ["none"] * 3


def test_training_without_a_stack_has_no_layers(training):
    assert training.layers.is_empty() and training.notes.is_empty()


def test_selected_features_are_noted_by_name(events):
    found = walkforward.train(events, STANDINGS, stacked(model="elastic_net", select=Selection(degraded_features=1)))
    chosen = found.notes.filter(pl.col("layer") == "features")
    assert chosen["what"].to_list() == ["1 of 3"] * 3
    assert chosen["features"].to_list() == [["signal"]] * 3
    assert found.artefact.preparation.columns.tolist() == [0]


def test_the_number_of_workers_changes_nothing_in_a_stack(events, standings, monkeypatch):
    monkeypatch.setenv("BQ_WORKERS", "2")
    together = walkforward.train(events, STANDINGS, stacked(compare=["elastic_net"]))
    for name in ("oos", "newest", "layers", "notes"):
        assert_frame_equal(getattr(standings, name), getattr(together, name), check_exact=True)
    assert onnx.export(standings.artefact) == onnx.export(together.artefact)


def test_what_comes_later_changes_no_earlier_prediction_of_a_stack(events, standings):
    first = standings.oos.filter(pl.col("fold") == 1, pl.col("model") == "stack")
    later = pl.col("t0") > first["t0"].max()
    turned = {name: pl.when(later).then(-3.0 * pl.col(name)).otherwise(pl.col(name)) for name in ("signal", "outcome")}
    spoilt = walkforward.train(events.with_columns(**turned).cast({"signal": pl.Float32}), STANDINGS, stacked())
    assert_frame_equal(first, spoilt.oos.filter(pl.col("fold") == 1), check_exact=True)


@pytest.mark.parametrize("order", ["reversed", "shuffled", "by symbol"])
def test_the_order_of_rows_changes_no_prediction(events, training, order):
    rows = {
        "reversed": events.reverse(),
        "shuffled": events.sample(fraction=1.0, shuffle=True, seed=4),
        "by symbol": events.sort("symbol", "t0"),
    }[order]
    again = walkforward.train(rows, TOY, toy_settings())
    assert_frame_equal(again.oos, training.oos)
    assert_frame_equal(again.newest, training.newest)
    assert_frame_equal(again.folds, training.folds)


def test_an_event_that_stands_there_twice_is_refused(events):
    twice = pl.concat([events, events.sample(3, seed=1)])
    with pytest.raises(BadData, match=r"event ids must be unique, but 6 events share theirs.*unique\('event_id'\)"):
        walkforward.train(twice, TOY, toy_settings())
    with pytest.raises(BadData, match="event ids must be unique"):
        walkforward.check(twice, TOY, toy_settings())
