"""A policy of score weights: what it sees becomes an action, and a row of sessions a path of weights."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.learning.network import Array, Network
from bq.learning.sample import Bounds, Float32
from bq.learning.weighing import Grid, Sessions

Answer = Callable[[Float32], NDArray[np.int64]]  # from what is seen, shape (n, n_seen), to an action each


class Policy(NamedTuple):
    """Raw state in, a value for each action out: the same steps are exported to ONNX."""

    bounds: Bounds  # of the state and, behind it, of the weights
    network: Network  # float64, of the clipped and imputed state

    def values(self, x: Float32) -> Array:
        """The worth of each action, shape (n_rows, n_actions)."""
        return self.network.values(self.bounds.apply(x).astype(np.float64))

    def actions(self, x: Float32) -> NDArray[np.int64]:
        """The action of the highest value in each row, the first of several."""
        return self.values(x).argmax(axis=1)


def path(answer: Answer, sessions: Sessions, grid: Grid, start: int) -> NDArray[np.int64]:
    """The point by which each session chooses, from the first one on; its own move is made before it.

    start : the point before the first session. The point at a session depends on nothing that was not known at its t0.
    """
    shares, point, found = grid.shares.astype(np.float32), start, []
    for row in sessions.state:
        seen = np.concatenate([row, shares[point]])[None, :]
        point = int(grid.after[point, int(answer(seen)[0])])
        found.append(point)
    return np.array(found)
