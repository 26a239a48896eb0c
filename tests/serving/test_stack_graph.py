"""The whole stack as one graph: preparation, base models, models and weights of regimes, meta-learner."""

import numpy as np
import onnx as onnx_format
import pytest
from onnx import numpy_helper
from planted_panel import STATES, learning, panel

from bq.core.settings import Selection
from bq.learning import layers, model
from bq.learning.layers import REGRESSION
from bq.learning.sample import Sample
from bq.serving import onnx
from bq.serving.session import TOLERANCE, Session

LINEAR = {"min_regime_dates": 20}
CASES = {  # classes, settings of the stack, whether there are regimes
    "regression": (0, LINEAR, True),
    "regression-regimes-by-trees": (0, {**LINEAR, "regime_model": "lightgbm"}, True),
    "regression-sample-weights": (0, {"min_regime_dates": 1000}, True),
    "regression-lasso": (0, {**LINEAR, "meta": "elastic_net"}, True),
    "regression-averaged": (0, {**LINEAR, "meta": "weights"}, True),
    "regression-without-regimes": (0, {}, False),
    "binary": (2, LINEAR, True),
    "multi-class": (3, LINEAR, True),
    "multi-class-lasso": (3, {**LINEAR, "meta": "elastic_net"}, True),
    "multi-class-without-regimes": (3, {}, False),
    "multi-class-averaged": (3, {**LINEAR, "meta": "weights"}, True),
}


@pytest.fixture(scope="module")
def events() -> Sample:
    return panel(symbols=10, sessions=150).sample


def fit(events: Sample, n_classes: int, stack: dict, regimes: bool, **changes: object) -> model.FittedModel:
    if n_classes:
        edges = {2: [0.0], 3: [-0.5, 0.5]}[n_classes]
        events = events._replace(label=np.digitize(events.label, edges).astype(np.int64))
    if not regimes:
        events, changes = events._replace(x=events.x[:, :-STATES]), {**changes, "regimes": None}
    return model.fit("stack", events, n_classes=n_classes, learning=learning(stack=stack, **changes))


@pytest.fixture(scope="module", params=CASES, ids=str)
def fitted(request, events) -> model.FittedModel:
    return fit(events, *CASES[request.param])


@pytest.fixture(scope="module")
def graph(fitted) -> bytes:
    return onnx.export(fitted)


@pytest.fixture(scope="module")
def regression(events) -> model.FittedModel:
    return fit(events, *CASES["regression"])


def features(fitted: model.FittedModel, events: Sample) -> np.ndarray:
    return events.x[:, : len(fitted.bounds.low)]


def agree(theirs: model.Prediction, ours: model.Prediction) -> None:
    for a, b in zip(theirs, ours, strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max(initial=0.0) <= TOLERANCE


def test_the_graph_answers_as_the_stack_on_adversarial_rows(fitted, graph, events):
    found = onnx.parity(fitted, graph, features(fitted, events), trade_above=0.0, seed=1)
    assert found.holds, found
    assert found.rows > 10_000, "rows on the thresholds of every tree are among them"


def test_missing_and_infinite_regimes_get_the_same_answer(fitted, graph, events):
    rows = events.rows(np.arange(300))
    x = features(fitted, rows).copy()
    for value, part in ((np.nan, slice(0, 100)), (np.inf, slice(100, 200)), (-np.inf, slice(200, 300))):
        x[part, -STATES:] = value
    answer = fitted.predict(x, rows.category, rows.size)
    agree(answer, Session(graph).predict(x, rows.category, rows.size))
    assert np.isfinite(answer.expected).all()


def test_a_batch_is_answered_as_row_by_row(fitted, graph, events):
    rows, session = events.rows(np.arange(60)), Session(graph)
    x = features(fitted, rows)
    batch = session.predict(x, rows.category, rows.size)
    for i in range(60):
        one = session.predict(x[i : i + 1], rows.category[i : i + 1], rows.size[i : i + 1])
        agree(one, model.Prediction(*(part[i : i + 1] for part in batch)))


def test_the_same_stack_gives_the_same_bytes(fitted, graph):
    assert onnx.export(fitted) == graph


def test_a_stack_of_a_regression_stays_a_small_graph(regression):
    """A decision has to take microseconds: linear models are one product, each ensemble of trees one node."""
    parsed = onnx_format.load_from_string(onnx.export(regression))
    kinds = [node.op_type for node in parsed.graph.node]
    assert kinds.count("TreeEnsembleRegressor") == 2
    assert len(kinds) <= 28


SPOILT = ["coefficients_2", "coefficients_3", "regime_weights", "said_centre", "regime_columns"]


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_part_of_the_stack_is_caught(regression, events, name):
    """Models of regimes, meta-learner, soft weights, centre of the predictions, columns of the regimes."""
    parsed = onnx_format.load_from_string(onnx.export(regression))
    tensor = next(t for t in parsed.graph.initializer if t.name == name)
    value = numpy_helper.to_array(tensor).copy()
    value.flat[np.abs(value).argmax()] -= np.asarray(1 if value.dtype == np.int64 else 0.01, value.dtype)
    tensor.CopyFrom(numpy_helper.from_array(value, name))
    found = onnx.parity(regression, parsed.SerializeToString(), events.x, trade_above=0.0, seed=1)
    assert not found.holds


def test_features_are_selected_inside_the_graph(events):
    """The graph takes the whole schema, uses what was selected, and keeps the regimes."""
    select = Selection(features=3, degraded_features=3)
    fitted = fit(events, 0, LINEAR, True, select=select)
    columns = fitted.preparation.columns
    own = events.x.shape[1] - STATES
    assert len(columns) == 3 + STATES and columns[-STATES:].tolist() == [own, own + 1, own + 2]
    graph = onnx.export(fitted)
    assert onnx.parity(fitted, graph, events.x, trade_above=0.0, seed=1).holds
    unused = np.setdiff1d(np.arange(own), columns)
    spoilt = events.x[:50].copy()
    spoilt[:, unused] = 7.0
    rows = events.rows(np.arange(50))
    answers = [Session(graph).predict(x, rows.category, rows.size).expected for x in (rows.x, spoilt)]
    assert np.array_equal(*answers)
    shares = fitted.importance()["lightgbm"]
    assert shares[unused].tolist() == [0.0] * len(unused) and shares.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("name", layers.names(REGRESSION))
def test_every_base_model_of_a_regression_is_exported(name, events):
    fitted = model.fit(name, events, n_classes=0, learning=learning())
    graph = onnx.export(fitted)
    assert onnx.parity(fitted, graph, events.x, trade_above=0.0, seed=1).holds
    inputs = [i.name for i in onnx_format.load_from_string(graph).graph.input]
    assert inputs == ["features"]
    answer = Session(graph).predict(events.x[:0], events.category[:0], events.size[:0])
    assert (answer.probabilities.shape, answer.expected.shape) == ((0, 0), (0,))


def test_trees_as_meta_learner_are_exported(events):
    """Rounding may put a row on the other side of a split of theirs: then the gate refuses. Here it does not."""
    fitted = fit(events, 0, {**LINEAR, "meta": "lightgbm"}, True)
    assert (
        fitted.base.meta.get_params()["n_estimators"] == layers.METAS["lightgbm", REGRESSION].ranges["n_estimators"][0]
    )
    rows = events.rows(np.arange(500))
    agree(
        fitted.predict(rows.x, rows.category, rows.size),
        Session(onnx.export(fitted)).predict(rows.x, rows.category, rows.size),
    )
