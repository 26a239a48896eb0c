"""A policy of score weights as one ONNX graph (clip → impute → what each action makes of it → network); its parity.

Input: `features` float32 (n, n_seen), NaN where missing. Outputs: `values` float32 (n, n_actions), the worth of each
action; `action` int64 (n,), the best. Values of neighbouring weights lie close together: it computes in double
precision, as in single precision another order of the same sums would flip some.
"""

import numpy as np
import onnx
from onnx import TensorProto

from bq.learning.sample import Float32, Preparation
from bq.learning.weight_policy import ENDS, Policy
from bq.serving import onnx_graph
from bq.serving.onnx import Parity, spoilt_rows
from bq.serving.onnx_graph import Nodes
from bq.serving.session import Session

OUTPUTS = ("values", "action")


def export(policy: Policy) -> bytes:
    """The policy as one serialised graph; the same policy gives the same bytes."""
    seen, (actions, components), to = len(policy.bounds.low), policy.moves.shape, Nodes()
    x = onnx_graph.prepare(to, Preparation(policy.bounds, None), "features")
    x = to.add("Cast", [x], "x_double", to=TensorProto.DOUBLE)
    x = _afterstates(to, policy, x, seen - components)
    last = len(policy.network.weights) - 1
    for i, (weights, bias) in enumerate(zip(*policy.network, strict=True)):
        layer = [to.constant(f"{name}_{i}", of, np.float64) for name, of in (("weights", weights), ("bias", bias))]
        x = to.add("Gemm", [x, *layer], f"layer_{i}")
        x = x if i == last else to.add("Relu", [x], f"rectified_{i}")
    x = to.add("Reshape", [x, to.constant("by_row", [-1, actions], np.int64)], "worth")
    to.add("Cast", [x], "values", to=TensorProto.FLOAT)
    to.add("ArgMax", [x], "action", axis=1, keepdims=0)
    whole = to.whole(
        {"features": (TensorProto.FLOAT, [None, seen])},
        {"values": (TensorProto.FLOAT, [None, actions]), "action": (TensorProto.INT64, [None])},
    )
    onnx.checker.check_model(whole, full_check=True)
    return whole.SerializeToString(deterministic=True)


def _afterstates(to: Nodes, policy: Policy, x: str, state: int) -> str:
    """`weight_policy.afterstates`, a row for each row and action: (n × n_actions, n_seen)."""
    actions, components = policy.moves.shape
    places = {"state": np.arange(state), "own": state + np.arange(components)}
    parts = {
        name: to.add("Gather", [x, to.constant(f"{name}_columns", of, np.int64)], name, axis=1)
        for name, of in places.items()
    }
    every = to.constant("every", [1], np.int64)
    own, told = (to.add("Unsqueeze", [parts[name], every], f"{name}_row") for name in ("own", "state"))
    moved = to.add("Add", [own, to.constant("moves", policy.moves, np.float64)], "moved")
    ends = [to.constant(name, end, np.float64) for name, end in zip(("least", "most"), ENDS, strict=True)]
    inside = [to.add("GreaterOrEqual", [moved, ends[0]], "above"), to.add("LessOrEqual", [moved, ends[1]], "below")]
    counted = to.add("Cast", [to.add("And", inside, "inside")], "inside_count", to=TensorProto.FLOAT)
    each = to.add("ReduceMin", [counted], "all_inside", axes=[2], keepdims=1)
    weights = to.add("Where", [to.add("Cast", [each], "there", to=TensorProto.BOOL), moved, own], "weights_after")
    shape = to.constant("shape", [1, actions, state], np.int64)
    sights = to.add("Concat", [to.add("Expand", [told, shape], "state_after"), weights], "after", axis=2)
    return to.add("Reshape", [sights, to.constant("flat", [-1, state + components], np.int64)], "sights")


def parity(policy: Policy, graph: bytes, x: Float32, *, seed: int) -> Parity:
    """Compare graph and policy on real rows `x`, noise, NaN, ±inf and extremes: values, and every action."""
    rows = spoilt_rows(policy.bounds, x, seed=seed)
    theirs, ours = policy.values(rows), Session(graph).predict_policy(rows)
    difference = float(np.abs(theirs - ours.values).max())
    flips = int((theirs.argmax(axis=1) != ours.actions).sum())
    return Parity(len(rows), difference if np.isfinite(difference) else float("inf"), flips)
