"""A policy of score weights as one ONNX graph (clip → impute → network, in double precision), and its parity.

Input: `features` float32 (n, n_seen), NaN where missing. Outputs: `values` float32 (n, n_actions), the worth of each
action; `action` int64 (n,), the best. Values of neighbouring actions lie close together: in single precision another
order of the same sums would flip some.
"""

import numpy as np
import onnx
from onnx import TensorProto

from bq.learning.sample import Float32, Preparation
from bq.learning.weight_policy import Policy
from bq.serving import onnx_graph
from bq.serving.onnx import Parity, spoilt_rows
from bq.serving.onnx_graph import Nodes
from bq.serving.session import Session

OUTPUTS = ("values", "action")


def export(policy: Policy) -> bytes:
    """The policy as one serialised graph; the same policy gives the same bytes."""
    seen, actions, to = len(policy.bounds.low), len(policy.network.biases[-1]), Nodes()
    x = onnx_graph.prepare(to, Preparation(policy.bounds, None), "features")
    x = to.add("Cast", [x], "x_double", to=TensorProto.DOUBLE)
    last = len(policy.network.weights) - 1
    for i, (weights, bias) in enumerate(zip(*policy.network, strict=True)):
        layer = [to.constant(f"{name}_{i}", of, np.float64) for name, of in (("weights", weights), ("bias", bias))]
        x = to.add("Gemm", [x, *layer], f"layer_{i}")
        x = x if i == last else to.add("Relu", [x], f"rectified_{i}")
    to.add("Cast", [x], "values", to=TensorProto.FLOAT)
    to.add("ArgMax", [x], "action", axis=1, keepdims=0)
    whole = to.whole(
        {"features": (TensorProto.FLOAT, [None, seen])},
        {"values": (TensorProto.FLOAT, [None, actions]), "action": (TensorProto.INT64, [None])},
    )
    onnx.checker.check_model(whole, full_check=True)
    return whole.SerializeToString(deterministic=True)


def parity(policy: Policy, graph: bytes, x: Float32, *, seed: int) -> Parity:
    """Compare graph and policy on real rows `x`, noise, NaN, ±inf and extremes: values, and every action."""
    rows = spoilt_rows(policy.bounds, x, seed=seed)
    theirs, ours = policy.values(rows), Session(graph).predict_policy(rows)
    difference = float(np.abs(theirs - ours.values).max())
    flips = int((theirs.argmax(axis=1) != ours.actions).sum())
    return Parity(len(rows), difference if np.isfinite(difference) else float("inf"), flips)
