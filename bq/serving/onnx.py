"""A fitted model as one ONNX graph (clip → impute → scale → base model → calibration → expected outcome); its parity.

Inputs: `features` float32 (n, n_features), NaN where missing; `category` int64 (n,); `size` float32 (n,).
Outputs: `probabilities` float32 (n, n_classes); `expected` float32 (n,).
"""

from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bq.learning.metrics import TRADE_ABOVE
from bq.learning.model import SMALLEST, FittedModel, Prediction

OPSET, ML_OPSET = 17, 3
TOLERANCE = 1e-5


class Parity(NamedTuple):
    """Graph against fitted model on the same rows."""

    rows: int
    largest_difference: float  # over probabilities and expected outcome
    flips: int  # rows whose predicted class or decision to trade differs

    @property
    def holds(self) -> bool:
        """Whether the graph may stand for the model."""
        return self.largest_difference <= TOLERANCE and self.flips == 0


def export(model: FittedModel) -> bytes:
    """The whole model as one serialised graph, the same bytes for the same model."""
    base = onnx.compose.add_prefix(_base_graph(model), "base_")  # no name of the converters' is one of ours
    nodes, constants = _before(model), _before_constants(model)
    more, more_constants = _after(model)
    rename = {base.graph.input[0].name: "x_ready", base.graph.output[0].name: "x_raw"}
    inner = [_renamed(node, rename) for node in base.graph.node]
    n, classes = len(model.bounds.low), model.class_means.means.shape[1]
    graph = helper.make_graph(
        nodes + inner + more,
        "bq",
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, n]),
            helper.make_tensor_value_info("category", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("size", TensorProto.FLOAT, [None]),
        ],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, classes]),
            helper.make_tensor_value_info("expected", TensorProto.FLOAT, [None]),
        ],
        initializer=[*base.graph.initializer, *constants, *more_constants],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    whole = helper.make_model(graph, opset_imports=opsets, producer_name="bq", ir_version=9)
    onnx.checker.check_model(whole, full_check=True)
    return whole.SerializeToString(deterministic=True)


def _base_graph(model: FittedModel) -> onnx.ModelProto:
    """The base model's probabilities, by skl2onnx with onnxmltools' converters for what is not scikit-learn's."""
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from skl2onnx import convert_sklearn, update_registered_converter
    from skl2onnx.common.data_types import FloatTensorType
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    last = model.base.steps[-1][1] if hasattr(model.base, "steps") else model.base
    foreign = {"LGBMClassifier": convert_lightgbm, "XGBClassifier": convert_xgboost}
    if type(last).__name__ in foreign:
        update_registered_converter(
            type(last),
            f"Bq{type(last).__name__}",
            calculate_linear_classifier_output_shapes,
            foreign[type(last).__name__],
            options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
        )
    converted = convert_sklearn(
        model.base,
        name="base",
        initial_types=[("x", FloatTensorType([None, len(model.bounds.low)]))],
        options={id(last): {"zipmap": False}},
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
    )
    probabilities = next(output.name for output in converted.graph.output if "prob" in output.name)
    return onnx.utils.Extractor(converted).extract_model(["x"], [probabilities])  # without what makes the label


def _renamed(node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
    return node


def _constant(name: str, value: Any, kind: Any = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value, kind), name)


def _before_constants(model: FittedModel) -> list[onnx.TensorProto]:
    return [
        _constant("low", model.bounds.low),
        _constant("high", model.bounds.high),
        _constant("median", model.bounds.median),
    ]


def _before(model: FittedModel) -> list[onnx.NodeProto]:
    """Clip and impute by comparisons: the standard says what they make of NaN, and not what Clip, Min and Max do."""
    return [
        helper.make_node("Less", ["features", "low"], ["is_low"]),
        helper.make_node("Where", ["is_low", "low", "features"], ["x_low"]),
        helper.make_node("Greater", ["x_low", "high"], ["is_high"]),
        helper.make_node("Where", ["is_high", "high", "x_low"], ["x_clipped"]),
        helper.make_node("IsNaN", ["x_clipped"], ["is_missing"]),
        helper.make_node("Where", ["is_missing", "median", "x_clipped"], ["x_ready"]),
    ]


def _after(model: FittedModel) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Temperature, then the probability-weighted class means of the event's cell."""
    constants = [
        _constant("smallest", SMALLEST),
        _constant("one", 1.0),
        _constant("sharpness", 1.0 / model.temperature),
        _constant("edges", model.class_means.edges),
        _constant("means", model.class_means.means),
        _constant("new", len(model.class_means.edges) - 1, np.int64),
        _constant("three", 3, np.int64),
        _constant("axis", [1], np.int64),
    ]
    nodes = [
        helper.make_node("Clip", ["x_raw", "smallest", "one"], ["p_clipped"]),
        helper.make_node("Log", ["p_clipped"], ["logits"]),
        helper.make_node("Mul", ["logits", "sharpness"], ["tempered"]),
        helper.make_node("Softmax", ["tempered"], ["probabilities"], axis=1),
        helper.make_node("Min", ["category", "new"], ["known"]),
        helper.make_node("Gather", ["edges", "known"], ["cell_edges"]),
        helper.make_node("Unsqueeze", ["size", "axis"], ["size_column"]),
        helper.make_node("Greater", ["size_column", "cell_edges"], ["above"]),
        helper.make_node("Cast", ["above"], ["above_count"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["above_count", "axis"], ["tercile"], keepdims=0),
        helper.make_node("Mul", ["known", "three"], ["first_cell"]),
        helper.make_node("Add", ["first_cell", "tercile"], ["cell"]),
        helper.make_node("Gather", ["means", "cell"], ["cell_means"]),
        helper.make_node("Mul", ["probabilities", "cell_means"], ["shares"]),
        helper.make_node("ReduceSum", ["shares", "axis"], ["expected"], keepdims=0),
    ]
    return nodes, constants


class Session:
    """A graph ready to answer."""

    def __init__(self, graph: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # the same sums in the same order
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def predict(self, x: NDArray[np.float32], category: NDArray[np.int64], size: NDArray[np.float32]) -> Prediction:
        """Answer for rows of features, as `FittedModel.predict`."""
        return Prediction(*self._session.run(None, {"features": x, "category": category, "size": size}))


def adversarial_rows(
    model: FittedModel, x: NDArray[np.float32], *, seed: int, count: int = 2000
) -> NDArray[np.float32]:
    """Rows that find differences: real ones, noise, on split thresholds and one float beside, NaN, ±inf, extremes."""
    rng = np.random.default_rng(seed)
    real = x[rng.choice(len(x), min(count, len(x)), replace=False)]
    noise = rng.uniform(model.bounds.low, model.bounds.high, (count, x.shape[1])).astype(np.float32)
    rows = [real, noise]
    thresholds = _thresholds(model)
    if len(thresholds):
        on = real[rng.integers(len(real), size=len(thresholds))].copy()
        index, feature = np.arange(len(on)), thresholds[:, 0].astype(int)
        for beside in (None, -np.inf, np.inf):
            value = thresholds[:, 1].astype(np.float32)
            on[index, feature] = value if beside is None else np.nextafter(value, np.float32(beside))
            rows.append(on.copy())
    for special in (np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 0.0, 1e-38):
        spoilt = real.copy()
        spoilt[rng.random(spoilt.shape) < 0.3] = special
        rows.append(spoilt)
    return np.concatenate(rows)


def _thresholds(model: FittedModel) -> NDArray[np.float64]:
    """(feature, threshold) of every split of a tree model, shape (n_splits, 2); empty for others."""
    if hasattr(model.base, "booster_"):
        trees = model.base.booster_.trees_to_dataframe().dropna(subset=["threshold"])
        names = {name: i for i, name in enumerate(model.base.booster_.feature_name())}
        return np.column_stack([trees["split_feature"].map(names), trees["threshold"].astype(float)])
    if hasattr(model.base, "get_booster"):
        trees = model.base.get_booster().trees_to_dataframe().dropna(subset=["Split"])
        return np.column_stack([trees["Feature"].str.removeprefix("f").astype(int), trees["Split"].astype(float)])
    return np.zeros((0, 2))


def parity(model: FittedModel, graph: bytes, x: NDArray[np.float32], *, seed: int) -> Parity:
    """Compare graph and fitted model on adversarial rows made from the features `x`."""
    rows = adversarial_rows(model, x, seed=seed)
    rng = np.random.default_rng(seed)
    edges = model.class_means.edges
    category = rng.integers(len(edges) + 1, size=len(rows))  # one that training did not have among them
    steps = [np.nextafter(edges, np.float32(side)).ravel() for side in (-np.inf, np.inf)]
    size = rng.choice(np.concatenate([edges.ravel(), *steps, np.float32([np.nan, np.inf, -np.inf])]), len(rows))
    theirs, ours = model.predict(rows, category, size), Session(graph).predict(rows, category, size)
    difference = np.max([np.abs(a - b).max() for a, b in zip(theirs, ours, strict=True)])  # NaN stays NaN
    decisions = [np.column_stack([p.probabilities.argmax(axis=1), p.expected > TRADE_ABOVE]) for p in (theirs, ours)]
    flips = int((decisions[0] != decisions[1]).any(axis=1).sum())
    return Parity(len(rows), float(difference) if np.isfinite(difference) else float("inf"), flips)
