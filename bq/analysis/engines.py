"""What every wrapper around a kernel checks first: the engine's name and the matrix of windows."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from bq.core.errors import BadData, BadParameters, did_you_mean

Engine = Literal["compiled", "reference"]


def check_engine(engine: str) -> None:
    """Raise BadParameters unless `engine` is "compiled" (the kernel) or "reference" (the library it is tested on)."""
    if engine not in get_args(Engine):
        raise BadParameters(f"engine: {engine!r} is not an engine; {did_you_mean(str(engine), get_args(Engine))}")


def as_windows(values: ArrayLike, *, name: str, at_least: int) -> np.ndarray:
    """Return `values` as a float64 matrix of one window a row, no copy where it is one already.

    Raises BadData unless it is two-dimensional with at least `at_least` columns.
    """
    windows = np.asarray(values, dtype=np.float64)
    if windows.ndim != 2 or windows.shape[1] < at_least:
        raise BadData(
            f"{name} must be a matrix of one window a row, at least {at_least} values long, but has shape "
            f"{windows.shape}. Build it with numpy's sliding_window_view, or lengthen the window."
        )
    return windows
