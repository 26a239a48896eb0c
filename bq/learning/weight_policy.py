"""A policy of score weights: what it sees becomes an action, and a row of sessions a path of weights."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.learning.network import Array, Network
from bq.learning.sample import Bounds, Float32
from bq.learning.weighing import LEAST, MOST, STEP, WHOLE, Grid, Sessions

ENDS = ((LEAST - STEP / 2) / WHOLE, (MOST + STEP / 2) / WHOLE)  # of a share: half a step beyond the grid
Answer = Callable[[Float32], NDArray[np.int64]]  # from what is seen, shape (n, n_seen), to an action each


def afterstates(seen: NDArray, moves: NDArray, ends: tuple[float, float]) -> NDArray:
    """What each action makes of what is seen: shape (n_rows, n_actions, n_seen).

    seen : (n_rows, n_seen), the weights last. moves : (n_actions, n_components), what each adds to the weights; one
    that would lead beyond the `ends` of the grid changes nothing.
    """
    n = moves.shape[1]
    moved = seen[:, None, -n:] + moves
    there = ((moved >= ends[0]) & (moved <= ends[1])).all(axis=2, keepdims=True)
    weights = np.where(there, moved, seen[:, None, -n:])
    state = np.broadcast_to(seen[:, None, :-n], (*moved.shape[:2], seen.shape[1] - n))
    return np.concatenate([state, weights], axis=2)


class Policy(NamedTuple):
    """Raw state in, a value for each action out: the same steps are exported to ONNX."""

    bounds: Bounds  # of the state and, behind it, of the weights
    network: Network  # float64, one value of the clipped and imputed state with the weights after an action
    moves: Array  # (n_actions, n_components), shares

    def values(self, x: Float32) -> Array:
        """The worth of each action, shape (n_rows, n_actions)."""
        sights = afterstates(self.bounds.apply(x).astype(np.float64), self.moves, ENDS)
        return self.network.values(sights.reshape(-1, sights.shape[-1])).reshape(sights.shape[:2])

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
