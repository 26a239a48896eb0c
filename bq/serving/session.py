"""A deployed graph that answers. Imports little: whoever only asks which model decides waits for nothing else."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.core.errors import BadData

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from onnx import TensorProto

    from bq.learning.model import Prediction

TOLERANCE = 1e-5


class Acted(NamedTuple):
    """What a policy answers for each row."""

    values: NDArray[np.float32]  # (n, n_actions)
    actions: NDArray[np.int64]  # (n,)


Cells = dict[
    str, tuple[str, int]
]  # name of an input or output: its kind, and how many values it has of a row; 0: unknown


class Session:
    """A graph ready to answer. Raises BadData for one that names other files or that the runtime cannot load."""

    def __init__(self, graph: bytes) -> None:
        import onnxruntime

        _refuse_other_files(graph)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # the same sums in the same order
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except _raised() as error:
            raise _unfit("must be a graph that onnxruntime can load", error) from None
        names = {end.name for end in self._session.get_outputs()}
        self._of_classes, self.is_policy = "probabilities" in names, "action" in names

    @property
    def cells(self) -> Cells:
        """What the graph takes and gives for a row."""
        ends = [*self._session.get_inputs(), *self._session.get_outputs()]
        return {end.name: (end.type, _width(end.shape)) for end in ends}

    def predict(self, x: NDArray[np.float32], category: NDArray[np.int64], size: NDArray[np.float32]) -> "Prediction":
        """Answer for rows of features, as `FittedModel.predict`. Raises BadData where the runtime cannot."""
        from bq.learning.model import Prediction

        if not self._of_classes:
            return Prediction(np.zeros((len(x), 0), np.float32), self._answer(["expected"], {"features": x})[0])
        rows: dict[str, Any] = {"features": x, "category": category, "size": size}
        return Prediction(*self._answer(["probabilities", "expected"], rows))

    def predict_policy(self, x: NDArray[np.float32]) -> Acted:
        """Answer of a policy for rows of what it sees. Raises BadData where the runtime cannot."""
        return Acted(*self._answer(["values", "action"], {"features": x}))

    def _answer(self, names: list[str], rows: dict[str, Any]) -> list[Any]:
        try:
            return self._session.run(names, rows)
        except _raised() as error:  # which are looked up where something was raised: a single row takes microseconds
            raise _unfit("must answer", error) from None


def _width(shape: list[Any]) -> int:
    """Values of a row, whose number is the first dimension."""
    widths = [*shape[1:], 1]
    return widths[0] if len(shape) in (1, 2) and isinstance(widths[0], int) else 0


def _raised() -> tuple[type[Exception], ...]:
    """Whatever the runtime raises: its errors have no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    kinds = (kind for kind in vars(runtime).values() if isinstance(kind, type))
    own = [kind for kind in kinds if issubclass(kind, Exception)]
    return (*own, RuntimeError, ValueError, TypeError, IndexError)


def _unfit(must: str, error: Exception) -> BadData:
    reason = " ".join(str(error).split())[:300]
    return BadData(f"model.onnx: {must}, but: {type(error).__name__}: {reason}. Retrain.")


def _refuse_other_files(graph: bytes) -> None:
    """A tensor stored in another file is not covered by the hash in the manifest."""
    from google.protobuf.message import DecodeError
    from onnx import TensorProto, load_from_string  # late: it costs 0.1 s

    try:
        parsed = load_from_string(graph)
        if not parsed.HasField("graph"):
            raise ValueError("it holds none")
    except (DecodeError, ValueError) as error:
        raise BadData(f"model.onnx: must be an ONNX graph, but cannot be parsed: {error}. Retrain.") from None
    names = [tensor.name for tensor in _tensors(parsed) if tensor.data_location == TensorProto.EXTERNAL]
    if names:
        raise BadData(f"model.onnx: must hold every tensor itself, but {names[0]!r} lies in another file. Retrain.")


def _tensors(message: "Message") -> "Iterator[TensorProto]":
    """Every tensor of a graph, wherever in it: initializers, attributes, graphs inside nodes, functions."""
    from onnx import TensorProto

    if isinstance(message, TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if isinstance(value, Sequence) else [value]:
                yield from _tensors(part)
