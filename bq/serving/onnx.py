"""A fitted model as one ONNX graph (clip → impute → scale → base model → calibration → expected outcome); its parity.

Inputs: `features` float32 (n, n_features), NaN where missing; `category` int64 (n,); `size` float32 (n,).
Outputs: `probabilities` float32 (n, n_classes); `expected` float32 (n,). A regression has `features` and `expected`.
"""

from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from bq.learning.model import SMALLEST, FittedModel
from bq.learning.sample import Bounds, Float32
from bq.learning.stacking import Stack
from bq.serving import onnx_graph
from bq.serving.onnx_graph import Nodes
from bq.serving.session import TOLERANCE, Session

TIE = 8.0 * float(np.finfo(np.float32).eps)  # a graph's own answer moves by half of it when a row is asked alone
MOST_TIES = 0.001  # share of rows; of a sound model one in a hundred thousand


class Parity(NamedTuple):
    """Differences between graph and fitted model on the same rows.

    A row is tied where the model itself does not decide: its expected outcome lies at the threshold, or its two
    likeliest classes are as likely, but for rounding. There any answer is right, and the graph's own may be another in
    a batch than alone. A model that is tied on more than `MOST_TIES` of the rows is not held to decide at all.
    """

    rows: int
    largest_difference: float  # over probabilities and expected outcome
    flips: int  # rows whose predicted class or decision to trade differs, though the model decides
    ties: int = 0  # rows where they differ and it does not

    @property
    def holds(self) -> bool:
        """Whether the graph may replace the model."""
        return self.largest_difference <= TOLERANCE and self.flips == 0 and self.ties <= MOST_TIES * self.rows


def export(model: FittedModel) -> bytes:
    """The model as one serialised graph; the same model gives the same bytes."""
    n, to = len(model.bounds.low), Nodes()
    inputs: dict[str, tuple] = {"features": (TensorProto.FLOAT, [None, n])}
    outputs: dict[str, tuple] = {"expected": (TensorProto.FLOAT, [None])}
    x = onnx_graph.prepare(to, model.preparation, "features")
    columns = model.preparation.columns
    predicted = onnx_graph.base(to, model.base, x, model.kind, n=n if columns is None else len(columns))
    if model.class_means is None:
        to.add("Squeeze", [predicted, to.constant("axis", [1], np.int64)], "expected")
    else:
        inputs |= {"category": (TensorProto.INT64, [None]), "size": (TensorProto.FLOAT, [None])}
        outputs = {"probabilities": (TensorProto.FLOAT, [None, len(model.prior)]), **outputs}
        clipped = to.add("Clip", [predicted, to.constant("smallest", SMALLEST), to.constant("one", 1.0)], "p_clipped")
        sharpness = to.constant("sharpness", 1.0 / model.temperature)
        tempered = to.add("Mul", [to.add("Log", [clipped], "logits"), sharpness], "tempered")
        onnx_graph.outcome(to, to.add("Softmax", [tempered], "probabilities", axis=1), model.class_means)
    whole = to.whole(inputs, outputs)
    onnx.checker.check_model(whole, full_check=True)
    return whole.SerializeToString(deterministic=True)


def adversarial_rows(
    model: FittedModel, x: NDArray[np.float32], *, seed: int, count: int = 2000
) -> NDArray[np.float32]:
    """Rows that reveal differences: real ones, noise, split thresholds and the next floats, NaN, ±inf, extremes."""
    return spoilt_rows(model.bounds, x, seed=seed, count=count, thresholds=_thresholds(model))


def spoilt_rows(
    bounds: Bounds, x: Float32, *, seed: int, count: int = 2000, thresholds: NDArray[np.float64] | None = None
) -> Float32:
    """See `adversarial_rows`. bounds : of the features. thresholds : (feature, threshold) of each split."""
    rng = np.random.default_rng(seed)
    real = x[rng.choice(len(x), min(count, len(x)), replace=False)]
    noise = rng.uniform(bounds.low, bounds.high, (count, x.shape[1])).astype(np.float32)
    rows = [real, noise]
    if thresholds is not None and len(thresholds):
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
    """(feature, threshold) of every split of the base models' trees, shape (n_splits, 2)."""
    stack = isinstance(model.base, Stack)
    bases = [*model.base.bases.values(), *model.base.experts] if stack else [model.base]
    found = np.concatenate([np.zeros((0, 2)), *map(_splits, bases)])
    if model.preparation.columns is not None:
        found[:, 0] = model.preparation.columns[found[:, 0].astype(int)]
    return found


def _splits(base: Any) -> NDArray[np.float64]:
    """(column, threshold) of every split of a tree model, shape (n_splits, 2); empty for others."""
    if hasattr(base, "booster_"):
        trees = base.booster_.trees_to_dataframe().dropna(subset=["threshold"])
        names = {name: i for i, name in enumerate(base.booster_.feature_name())}
        return np.column_stack([trees["split_feature"].map(names), trees["threshold"].astype(float)])
    if hasattr(base, "get_booster"):
        trees = base.get_booster().trees_to_dataframe().dropna(subset=["Split"])
        return np.column_stack([trees["Feature"].str.removeprefix("f").astype(int), trees["Split"].astype(float)])
    return np.zeros((0, 2))


def parity(model: FittedModel, graph: bytes, x: NDArray[np.float32], *, trade_above: float, seed: int) -> Parity:
    """Compare graph and fitted model on adversarial rows made from the features `x`.

    trade_above : expected outcome above which a decision trades.
    """
    rows = adversarial_rows(model, x, seed=seed)
    category, size = _cells(model, len(rows), seed=seed)
    theirs, ours = model.predict(rows, category, size), Session(graph).predict(rows, category, size)
    pairs = [(a, b) for a, b in zip(theirs, ours, strict=True) if a.size]
    difference = np.max([np.abs(a - b).max() for a, b in pairs])  # NaN stays NaN
    differ = (theirs.expected > trade_above) != (ours.expected > trade_above)
    tied = np.abs(theirs.expected - trade_above) <= TIE
    flips, ties = differ & ~tied, differ & tied
    if model.class_means:
        differ = theirs.probabilities.argmax(axis=1) != ours.probabilities.argmax(axis=1)
        second, first = np.sort(theirs.probabilities, axis=1)[:, -2:].T
        flips, ties = flips | (differ & (first - second > TIE)), ties | (differ & (first - second <= TIE))
    largest = float(difference) if np.isfinite(difference) else float("inf")
    return Parity(len(rows), largest, int(flips.sum()), int((ties & ~flips).sum()))


def _cells(model: FittedModel, n: int, *, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Categories (one not seen in training among them), and sizes on and next to the edges of the terciles."""
    rng = np.random.default_rng(seed)
    if model.class_means is None:
        return np.zeros(n, np.int64), np.zeros(n, np.float32)
    edges = model.class_means.edges
    category = rng.integers(len(edges) + 1, size=n)
    steps = [np.nextafter(edges, np.float32(side)).ravel() for side in (-np.inf, np.inf)]
    return category, rng.choice(
        np.concatenate([edges.ravel(), *steps, np.array([np.nan, np.inf, -np.inf], np.float32)]), n
    )
