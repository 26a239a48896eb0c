"""The parts of a fitted model as ONNX nodes: preparation, base models, stack.

Linear models are written as one product, everything else is converted by skl2onnx with onnxmltools' converters.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bq.learning.layers import CLASSIFICATION, REGRESSION, Kind
from bq.learning.sample import Preparation
from bq.learning.stacking import LEAST_WEIGHT, SMALLEST, Stack

OPSET, ML_OPSET = 17, 3
LINEAR = {"BlendClassifier", "BlendRegressor", "ElasticNet", "FactorWeights", "LogisticRegression"}
# last step, after a StandardScaler


class Nodes:
    """Nodes and constants of a graph under construction, each with a unique name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._taken: dict[str, int] = {}

    def name(self, wanted: str) -> str:
        """`wanted`, with a number appended where it is taken."""
        self._taken[wanted] = self._taken.get(wanted, 0) + 1
        return wanted if self._taken[wanted] == 1 else f"{wanted}_{self._taken[wanted]}"

    def constant(self, name: str, value: Any, kind: Any = np.float32) -> str:
        """Add a constant; returns its name."""
        unique = self.name(name)
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), unique))
        return unique

    def add(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        unique = self.name(name)
        self.nodes.append(helper.make_node(kind, list(inputs), [unique], **attributes))
        return unique

    def whole(self, inputs: Mapping[str, Sequence], outputs: Mapping[str, Sequence]) -> onnx.ModelProto:
        """The model with these inputs and outputs: name → (type, shape)."""
        graph = helper.make_graph(
            self.nodes,
            "bq",
            [helper.make_tensor_value_info(name, *of) for name, of in inputs.items()],
            [helper.make_tensor_value_info(name, *of) for name, of in outputs.items()],
            initializer=self.constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        return helper.make_model(graph, opset_imports=opsets, producer_name="bq", ir_version=9)


def prepare(to: Nodes, preparation: Preparation, x: str) -> str:
    """Select, clip and impute, the last two by comparisons: the ONNX standard defines these for NaN, but not Clip, Min
    and Max."""
    bounds, columns = preparation
    if columns is not None:
        x = to.add("Gather", [x, to.constant("columns", columns, np.int64)], "x_selected", axis=1)
        bounds = type(bounds)(*(part[columns] for part in bounds))
    low, high, median = (to.constant(name, value) for name, value in bounds._asdict().items())
    is_low = to.add("Less", [x, low], "is_low")
    x = to.add("Where", [is_low, low, x], "x_low")
    is_high = to.add("Greater", [x, high], "is_high")
    x = to.add("Where", [is_high, high, x], "x_clipped")
    missing = to.add("IsNaN", [x], "is_missing")
    return to.add("Where", [missing, median, x], "x_ready")


def base(to: Nodes, model: Any, x: str, kind: Kind, *, n: int) -> str:
    """A base model or a stack on the prepared features `x` of shape (rows, n); its prediction, shape (rows, width)."""
    if isinstance(model, Stack):
        return _stack(to, model, x, n=n)
    return _linear(to, [model], x, kind) if is_linear(model) else _converted(to, model, x, kind, n=n)


def is_linear(model: Any) -> bool:
    """Whether the model is a product of standardised features."""
    return hasattr(model, "steps") and len(model.steps) == 2 and type(model.steps[-1][1]).__name__ in LINEAR


def _linear(to: Nodes, models: Sequence[Any], x: str, kind: Kind) -> str:
    """Linear models side by side as one product of features less the first model's means (without these a sum of large
    numbers that cancel would lose digits)."""
    centre = models[0].steps[0][1].mean_
    coefficients, intercepts = zip(*(_of_standardised(model, kind, centre) for model in models), strict=True)
    centred = to.add("Sub", [x, to.constant("centre", centre)], "x_centred")
    weights = to.constant("coefficients", np.hstack(coefficients))
    predicted = to.add("Gemm", [centred, weights, to.constant("intercepts", np.hstack(intercepts))], "linear")
    return predicted if kind == REGRESSION else to.add("Softmax", [predicted], "linear_p", axis=1)


def _of_standardised(model: Any, kind: Kind, centre: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Coefficients (n, width) and intercepts (width,) on features less `centre`."""
    scaler, last = model.steps[0][1], model.steps[1][1]
    scale = np.ones(len(scaler.mean_)) if scaler.scale_ is None else scaler.scale_
    coefficients = np.atleast_2d(last.coef_).T / scale[:, None]
    intercepts = np.atleast_1d(last.intercept_) + (centre - scaler.mean_) @ coefficients
    if kind == CLASSIFICATION and coefficients.shape[1] == 1:  # coefficients of the second class alone
        return np.hstack([0.0 * coefficients, coefficients]), np.append(0.0, intercepts)
    return coefficients, intercepts


def _converted(to: Nodes, model: Any, x: str, kind: Kind, *, n: int) -> str:
    """The nodes of a converter, without those that turn probabilities into a label."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    last = model.steps[-1][1] if hasattr(model, "steps") else model
    _register(last)
    converted = convert_sklearn(
        model,
        name="base",
        initial_types=[("x", FloatTensorType([None, n]))],
        options={id(last): {"zipmap": False}} if kind == CLASSIFICATION else None,
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
    )
    wanted = [output.name for output in converted.graph.output if kind == REGRESSION or "prob" in output.name]
    part = onnx.utils.Extractor(converted).extract_model(["x"], wanted[:1])
    prefix = to.name("base_")  # no converted name equals one of ours or of another base model
    part = onnx.compose.add_prefix(part, prefix)
    for node in part.graph.node:
        node.input[:] = [x if name == part.graph.input[0].name else name for name in node.input]
    to.nodes.extend(part.graph.node)
    to.constants.extend(part.graph.initializer)
    return part.graph.output[0].name


def _register(model: Any) -> None:
    """Register converters for models that are not scikit-learn's."""
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator

    name = type(model).__name__
    if not name.startswith(("LGBM", "XGB")):
        return
    converter = convert_lightgbm if name.startswith("LGBM") else convert_xgboost
    if name.endswith("Regressor"):
        shapes, options = shape_calculator.calculate_linear_regressor_output_shapes, None
    else:
        shapes = shape_calculator.calculate_linear_classifier_output_shapes
        options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    update_registered_converter(type(model), f"Bq{name}", shapes, converter, options=options)


def _stack(to: Nodes, stack: Stack, x: str, *, n: int) -> str:
    """Base models, regime models, and their average or the meta-learner on them; as `Stack.combine`."""
    predicted = {id(model): base(to, model, x, stack.kind, n=n) for model in stack.bases.values()}
    parts = list(predicted.values())
    regimes = len(stack.table) if stack.table is not None else len(stack.experts)
    p = _last(to, x, n, np.arange(regimes)) if regimes else ""
    if stack.experts:
        parts.append(_experts(to, stack, predicted, x, p, n=n))
    whole = to.add("Concat", parts, "said", axis=1) if len(parts) > 1 else parts[0]
    width = len(stack.centre) // len(parts)
    if stack.meta is None:
        average = to.constant("average", np.kron(stack.weights[:, None], np.eye(width)))
        return to.add("MatMul", [whole, average], "averaged")
    if stack.kind == CLASSIFICATION:
        least, one = to.constant("least", SMALLEST), to.constant("most", 1.0)
        whole = to.add("Log", [to.add("Clip", [whole, least, one], "said_clipped")], "said_log")
    else:
        whole = to.add("Sub", [whole, to.constant("said_centre", stack.centre)], "said_centred")
    if stack.table is not None:
        least = to.constant("least_weight", np.full(len(stack.centre), LEAST_WEIGHT))
        weight = to.add("Gemm", [p, to.constant("regime_weights", stack.table), least], "weight")
        total = to.add("ReduceSum", [weight, to.constant("across", [1], np.int64)], "weight_sum", keepdims=1)
        share = to.add("Div", [weight, total], "weight_share")
        whole = to.add("Concat", [to.add("Mul", [whole, share], "weighted"), p], "meta_inputs", axis=1)
    return base(to, stack.meta, whole, stack.kind, n=len(stack.centre) + (regimes if stack.table is not None else 0))


def _last(to: Nodes, x: str, n: int, places: NDArray[np.int64]) -> str:
    """Regime columns, the last of `x`, by their positions among these."""
    first = n - int(places.max()) - 1
    return to.add("Gather", [x, to.constant("regime_columns", first + places, np.int64)], "regime_p", axis=1)


def _experts(to: Nodes, stack: Stack, predicted: dict[int, str], x: str, p: str, *, n: int) -> str:
    """Predictions of the regime models, weighted by the regime probabilities."""
    experts = stack.experts
    if stack.kind == REGRESSION and all(map(is_linear, experts)):
        answers = _linear(to, experts, x, REGRESSION)
        shares = to.add("Mul", [answers, p], "expert_shares")
        return to.add("ReduceSum", [shares, to.constant("over_regimes", [1], np.int64)], "by_regime", keepdims=1)
    for model in experts:
        predicted.setdefault(id(model), base(to, model, x, stack.kind, n=n) if id(model) not in predicted else "")
    width = len(stack.centre) // (len(stack.bases) + 1)
    answers = to.add("Concat", [predicted[id(model)] for model in experts], "expert_answers", axis=1)
    repeated = _last(to, x, n, np.repeat(np.arange(len(experts)), width))
    shares = to.add("Mul", [answers, repeated], "expert_shares")
    return to.add("MatMul", [shares, to.constant("regime_sum", np.tile(np.eye(width), (len(experts), 1)))], "by_regime")


def outcome(to: Nodes, probabilities: str, class_means: Any) -> str:
    """The probability-weighted class means of each event's cell, from the inputs `category` and `size`."""
    axis = to.constant("axis", [1], np.int64)
    edges, means = to.constant("edges", class_means.edges), to.constant("means", class_means.means)
    known = to.add("Min", ["category", to.constant("new", len(class_means.edges) - 1, np.int64)], "known")
    above = to.add(
        "Greater",
        [to.add("Unsqueeze", ["size", axis], "size_column"), to.add("Gather", [edges, known], "cell_edges")],
        "above",
    )
    counted = to.add("Cast", [above], "above_count", to=TensorProto.INT64)
    tercile = to.add("ReduceSum", [counted, axis], "tercile", keepdims=0)
    first = to.add("Mul", [known, to.constant("three", 3, np.int64)], "first_cell")
    cell = to.add("Gather", [means, to.add("Add", [first, tercile], "cell")], "cell_means")
    return to.add("ReduceSum", [to.add("Mul", [probabilities, cell], "shares"), axis], "expected", keepdims=0)
