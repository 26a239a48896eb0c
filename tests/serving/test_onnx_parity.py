"""The exported graph answers as the fitted model does, and a graph that does not is caught."""

import numpy as np
import onnx as onnx_format
import pytest
from onnx import numpy_helper
from toy_strategy import toy_learning, toy_sample

from bq.learning import layers, model
from bq.learning.layers import CLASSIFICATION
from bq.learning.sample import Preparation
from bq.serving import onnx
from bq.serving import onnx_graph as graphs
from bq.serving.session import TOLERANCE, Session

NAN, INF = np.nan, np.inf


@pytest.fixture(scope="module")
def graph(fitted) -> bytes:
    return onnx.export(fitted)


@pytest.fixture(scope="module", params=["lightgbm", "xgboost"])
def trees(request, sample) -> model.FittedModel:
    return model.fit(request.param, sample, n_classes=3, learning=toy_learning())


def answers(fitted: model.FittedModel, graph: bytes, rows: np.ndarray) -> tuple[model.Prediction, model.Prediction]:
    rng = np.random.default_rng(0)
    category, size = rng.integers(0, 3, len(rows)), rng.uniform(0.3, 2.2, len(rows)).astype(np.float32)
    return fitted.predict(rows, category, size), Session(graph).predict(rows, category, size)


def agree(theirs: model.Prediction, ours: model.Prediction) -> None:
    assert np.abs(theirs.probabilities - ours.probabilities).max() <= TOLERANCE
    assert np.abs(theirs.expected - ours.expected).max() <= TOLERANCE
    assert (theirs.probabilities.argmax(axis=1) == ours.probabilities.argmax(axis=1)).all()


def spoil(graph: bytes, change) -> bytes:
    """The graph after `change` was applied to it."""
    parsed = onnx_format.load_from_string(graph)
    change(parsed.graph)
    return parsed.SerializeToString()


def attribute(node, name: str):
    return next(a for a in node.attribute if a.name == name)


def tree_node(graph):
    return next(node for node in graph.node if node.op_type == "TreeEnsembleClassifier")


def splits_of(graph: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Feature and threshold of every split in the graph's trees."""
    node = tree_node(onnx_format.load_from_string(graph).graph)
    inner = np.array([mode != b"LEAF" for mode in attribute(node, "nodes_modes").strings])
    features = np.array(attribute(node, "nodes_featureids").ints)
    return features[inner], np.array(attribute(node, "nodes_values").floats, np.float32)[inner]


def test_parity_holds_on_adversarial_rows(fitted, graph, sample):
    found = onnx.parity(fitted, graph, sample.x, trade_above=0.15, seed=1)
    assert found.holds
    assert found.rows > 5000
    assert found.largest_difference <= TOLERANCE
    assert found.flips == 0


@pytest.mark.parametrize("value", [NAN, INF, -INF, 3.4e38, -3.4e38, 0.0, -0.0, 1e-38, -1e-35, 1e-45], ids=str)
def test_special_values_get_the_same_answer(fitted, graph, sample, value):
    rows = np.concatenate([sample.x] * 2)
    rows[np.random.default_rng(3).random(rows.shape) < 0.4] = value
    agree(*answers(fitted, graph, rows))


def test_rows_on_and_beside_every_split_threshold_get_the_same_answer(trees, sample):
    graph = onnx.export(trees)
    features, exact = splits_of(graph)
    assert len(exact) > 500
    for side in (None, -INF, INF):
        rows = sample.x[np.arange(len(exact)) % len(sample.x)].copy()
        rows[np.arange(len(exact)), features] = exact if side is None else np.nextafter(exact, np.float32(side))
        agree(*answers(trees, graph, rows))


def test_rows_beyond_the_training_bounds_are_clipped_alike(fitted, graph, sample):
    bounds = fitted.bounds
    for bound, side in ((bounds.low, -INF), (bounds.high, INF)):
        rows = np.stack([bound, np.nextafter(bound, np.float32(side)), np.nextafter(bound, np.float32(-side))])
        agree(*answers(fitted, graph, rows))


def test_feature_without_any_value_and_categories_without_events_are_exported():
    sample = toy_sample()
    x = sample.x.copy()
    x[:, 1] = NAN
    sample = sample._replace(x=x, category=sample.category * 3)  # 1 and 2 have no events
    fitted = model.fit("lightgbm", sample, n_classes=3, learning=toy_learning())
    assert onnx.parity(fitted, onnx.export(fitted), x, trade_above=0.15, seed=0).holds


def move_threshold(how):
    def change(graph):
        values = attribute(tree_node(graph), "nodes_values").floats
        values[0] = float(how(np.float32(values[0])))  # the root of the first tree

    return change


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(lambda t: np.nextafter(t, np.float32(INF)), id="one-float-up"),
        pytest.param(lambda t: np.nextafter(t, np.float32(-INF)), id="one-float-down"),
        pytest.param(lambda t: t + np.float32(0.5), id="far"),
    ],
)
def test_a_moved_threshold_is_caught(trees, sample, how):
    whole = onnx.export(trees)
    spoilt = spoil(whole, move_threshold(how))
    assert onnx.parity(trees, whole, sample.x, trade_above=0.15, seed=1).holds
    assert not onnx.parity(trees, spoilt, sample.x, trade_above=0.15, seed=1).holds


def test_random_rows_alone_would_not_show_a_threshold_moved_by_one_float(trees, sample):
    """Why the adversarial rows exist."""
    spoilt = spoil(onnx.export(trees), move_threshold(lambda t: np.nextafter(t, np.float32(INF))))
    noise = np.random.default_rng(123).standard_normal((5000, sample.x.shape[1])).astype(np.float32)
    agree(*answers(trees, spoilt, noise))


def change_constant(name: str, how):
    def change(graph):
        tensor = next(t for t in graph.initializer if t.name == name)
        tensor.CopyFrom(numpy_helper.from_array(how(numpy_helper.to_array(tensor).copy()), name))

    return change


def one(index, value):
    def how(array):
        array[index] = value
        return array

    return how


@pytest.mark.parametrize(
    ("name", "how"),
    [
        pytest.param("means", one((0, 0), NAN), id="class-mean-is-NaN"),
        pytest.param("means", lambda a: a + np.float32(1e-4), id="class-means-shifted"),
        pytest.param("edges", one((0, 0), 1e-3), id="size-tercile-moved"),
        pytest.param("edges", lambda a: np.nextafter(a, np.float32(INF)), id="size-terciles-one-float-up"),
        pytest.param("high", one(0, -2.0), id="bound-moved"),
        pytest.param("median", one(0, 3.0), id="median-changed"),
        pytest.param("sharpness", lambda a: a * np.float32(1.01), id="temperature-changed"),
        pytest.param("new", lambda a: a - 1, id="new-category-taken-for-a-known-one"),
    ],
)
def test_a_spoilt_constant_is_caught(fitted, graph, sample, name, how):
    found = onnx.parity(fitted, spoil(graph, change_constant(name, how)), sample.x, trade_above=0.15, seed=1)
    assert not found.holds
    assert found.largest_difference > TOLERANCE


def test_a_changed_coefficient_is_caught(sample):
    linear = model.fit("elastic_net", sample, n_classes=3, learning=toy_learning())
    change = change_constant("coefficients", one((0, 0), 1e-3))
    assert not onnx.parity(linear, spoil(onnx.export(linear), change), sample.x, trade_above=0.15, seed=1).holds


def test_a_decision_to_trade_that_differs_counts_as_a_flip(fitted, sample):
    """The class stays and the expected outcome crosses the trading threshold."""
    raised = fitted._replace(
        class_means=fitted.class_means._replace(means=np.full_like(fitted.class_means.means, 0.149))
    )
    lifted = raised._replace(
        class_means=raised.class_means._replace(means=raised.class_means.means + np.float32(0.002))
    )
    found = onnx.parity(raised, onnx.export(lifted), sample.x, trade_above=0.15, seed=1)
    assert found.flips == found.rows


@pytest.mark.parametrize(
    ("above", "flips"), [pytest.param(0.0, 0, id="at-the-threshold"), pytest.param(1e-6, 1, id="a-millionth-away")]
)
def test_a_decision_that_hangs_on_the_last_bits_is_a_tie_and_no_flip(fitted, graph, sample, above, flips):
    """A threshold between what the model and its graph expect of one row, at whose sides they fall by rounding."""
    rows = onnx.adversarial_rows(fitted, sample.x, seed=1)
    theirs, ours = (side.predict(rows, *onnx._cells(fitted, len(rows), seed=1)) for side in (fitted, Session(graph)))
    (one, *_) = np.flatnonzero(theirs.expected < ours.expected)
    raised = theirs.expected.copy()
    raised[one] -= np.float32(above)
    at = float(theirs.expected[one])

    class Shifted:
        def __getattr__(self, name):
            return getattr(fitted, name)

        def predict(self, *_):
            return theirs._replace(expected=raised)

    found = onnx.parity(Shifted(), graph, sample.x, trade_above=at, seed=1)
    same = theirs.expected == theirs.expected[one]
    assert found.flips == flips and found.holds == (not flips)
    assert found.ties + found.flips == ((ours.expected > at) != (raised > at)).sum() <= same.sum()


def test_a_model_that_is_tied_on_many_rows_is_not_held_to_decide(fitted, sample):
    """Every class means the threshold itself: the graph, a rounding higher, would trade everything."""
    at = np.float32(0.15)
    level, higher = (
        fitted._replace(class_means=fitted.class_means._replace(means=np.full_like(fitted.class_means.means, mean)))
        for mean in (at, at + np.float32(4e-7))
    )
    found = onnx.parity(level, onnx.export(higher), sample.x, trade_above=float(at), seed=1)
    assert found.flips == 0 and found.ties > 0.001 * found.rows and found.largest_difference <= TOLERANCE
    assert not found.holds


def test_the_same_model_gives_the_same_bytes(fitted, graph):
    assert onnx.export(fitted) == graph


def test_a_batch_is_answered_as_row_by_row_but_for_the_last_bits(graph, sample):
    """onnxruntime sums a batch in another order than a row: a few float32 roundings, and never another class."""
    session = Session(graph)
    batch = session.predict(sample.x, sample.category, sample.size)
    parts = [session.predict(*(a[i : i + 1] for a in (sample.x, sample.category, sample.size))) for i in range(200)]
    alone = model.Prediction(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    assert np.abs(alone.probabilities - batch.probabilities[:200]).max() <= 4 * np.finfo(np.float32).eps
    assert np.abs(alone.expected - batch.expected[:200]).max() <= 4 * np.finfo(np.float32).eps
    agree(alone, model.Prediction(*(part[:200] for part in batch)))
    again = Session(graph).predict(sample.x, sample.category, sample.size)
    assert np.array_equal(again.probabilities, batch.probabilities)


def test_no_event_is_no_answer(graph, sample):
    answer = Session(graph).predict(sample.x[:0], sample.category[:0], sample.size[:0])
    assert answer.probabilities.shape == (0, 3)
    assert answer.expected.shape == (0,)


def test_tree_thresholds_in_the_graph_are_those_of_the_model(trees):
    if trees.name == "lightgbm":
        table = trees.base.booster_.trees_to_dataframe()["threshold"]
    else:
        table = trees.base.get_booster().trees_to_dataframe()["Split"]
    expected = table.dropna().astype(float).to_numpy()
    if trees.name == "xgboost":
        expected = expected.astype(np.float32)  # it holds float32 and prints nine digits
    assert np.array_equal(np.sort(splits_of(onnx.export(trees))[1]), np.sort(expected))


def test_the_graph_is_one_file_without_paths_times_or_external_data(graph):
    parsed = onnx_format.load_from_string(graph)
    assert parsed.graph.name == "bq"
    assert parsed.producer_version == "" and parsed.doc_string == ""
    assert {o.domain for o in parsed.opset_import} == {"", "ai.onnx.ml"}
    assert not any(t.data_location == onnx_format.TensorProto.EXTERNAL for t in parsed.graph.initializer)


def test_the_gate_refuses_a_calibrated_classifier_over_lightgbm(sample):
    """Why probabilities are calibrated by a temperature of our own.

    skl2onnx converts `CalibratedClassifierCV` over LightGBM without a word; the answers differ by tenths.
    """
    from sklearn.calibration import CalibratedClassifierCV

    preparation = Preparation(model.Bounds.of(sample.x), None)
    lightgbm = layers.make("lightgbm", CLASSIFICATION, toy_learning())
    graphs._register(lightgbm)
    calibrated = CalibratedClassifierCV(lightgbm, cv=3).fit(preparation.apply(sample.x), sample.label)
    means, prior = model.ClassMeans.of(sample, 3), np.full(3, 1 / 3, np.float32)
    whole = model.FittedModel("calibrated", preparation, calibrated, 1.0, means, prior, 1.0)
    found = onnx.parity(whole, onnx.export(whole), sample.x, trade_above=0.15, seed=1)
    assert not found.holds
    assert found.largest_difference > 1000 * TOLERANCE
