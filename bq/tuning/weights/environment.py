"""The weights of a score as a Gymnasium environment: one step a session, one move of 5% or none."""

from typing import Any, NamedTuple, Self

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from bq.learning.sample import Bounds, Float32
from bq.learning.weighing import WHOLE, Array, Grid, Sessions
from bq.learning.weight_policy import ENDS, afterstates
from bq.tuning.weights.dqn import OTHERS, Transitions

RISK_AVERSION = 0.2  # of results in standard deviations of the score's own: what a squared one costs, twice
SPREAD = 0.2  # standard deviation of rewards: errors stay where a Huber loss is a squared one
FARTHEST = 3.0  # standard deviations at which what is seen is cut
IMAGINED = 16  # points of the grid at which a session is replayed as well
WEIGHT_SPREAD = 0.15  # by which weights are divided, so that they are of the size of the rest


class Scaling(NamedTuple):
    """How a window of sessions is seen, learnt in that window: clipped to its bounds, then standardised."""

    bounds: Bounds  # of the state without the weights
    mean: Float32
    spread: Float32

    @classmethod
    def of(cls, state: Float32) -> Self:
        """Bounds are 3 standard deviations from the mean, where the window has values there; missing is its median."""
        found = Bounds.of(state)
        ready = found.apply(state).astype(np.float64)
        mean, spread = ready.mean(axis=0), ready.std(axis=0)
        low, high = (np.clip(mean + side * FARTHEST * spread, found.low, found.high) for side in (-1.0, 1.0))
        bounds = Bounds(low.astype(np.float32), high.astype(np.float32), found.median)
        flat = spread <= 1e-9 * np.maximum(np.abs(mean), 1.0)  # a column that never moves says nothing
        return cls(bounds, mean.astype(np.float32), np.where(flat, 1e9, spread).astype(np.float32))

    def apply(self, state: Float32) -> Float32:
        """Standard deviations from the mean."""
        return (self.bounds.apply(state) - self.mean) / self.spread


def seen_weights(shares: NDArray) -> Float32:
    """Weights as they are seen, of about the size of the rest."""
    return ((shares - 1.0 / shares.shape[-1]) / WEIGHT_SPREAD).astype(np.float32)


def rewards(results: Array, given: Array, scale: Array) -> Array:
    """Risk-adjusted net result of each point of the grid, less the mean over the points: shape (n, n_points).

    results, given : of `Sessions`. scale : results by which the unit is set, those of a training window.

    The utility of a result z, in standard deviations of the score's own, is z - RISK_AVERSION / 2 · z². What all points
    earned alike does not depend on what is chosen, so that taking it out changes no choice and most of the noise.
    """
    unit = max(float(np.std(scale)), 1e-12)
    utility = results / unit - 0.5 * RISK_AVERSION * (results / unit) ** 2
    return utility - utility.mean(axis=1, keepdims=True)


class ScoreWeights(gym.Env[Float32, np.int64]):
    """Episodes of some sessions out of a window, each from a session and from weights drawn at random.

    What is seen: the state of the session, standardised, and the weights before the action. An episode is never over,
    it is cut off (`truncated`) after its length, or where the window ends: what would follow is still worth something.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, state: Float32, earned: Array, grid: Grid, *, length: int) -> None:
        """state : standardised, (n_sessions, n_seen). earned : the reward of each point, (n_sessions, n_points)."""
        self._state, self._earned, self._grid = state, earned, grid
        self._weights = seen_weights(grid.shares)
        self._moves = (grid.moves / WHOLE / WEIGHT_SPREAD).astype(np.float32)
        low, high = seen_weights(np.array([[end, *[0.0] * (grid.points.shape[1] - 1)] for end in ENDS]))[:, 0]
        self._ends = (float(low), float(high))
        self._length = min(length, len(state) - 1)
        width = state.shape[1] + self._weights.shape[1]
        self.observation_space = gym.spaces.Box(-10.0, 10.0, (width,), np.float32)
        self.action_space = gym.spaces.Discrete(grid.after.shape[1])
        self._session = self._begun = self._point = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32, dict[str, Any]]:
        """Begin an episode. options : session and point to begin with, each drawn at random where it is not named."""
        super().reset(seed=seed)
        chosen, last = options or {}, len(self._state) - 1
        session = int(self.np_random.integers(max(last - self._length, 0) + 1))
        point = int(self.np_random.integers(len(self._grid.points)))
        self._session = self._begun = int(chosen.get("session", session))
        self._point = int(chosen.get("point", point))
        return self._seen(), self._told()

    def step(self, action: np.int64) -> tuple[Float32, float, bool, bool, dict[str, Any]]:
        """Move the weights, choose by them, and go to the next session."""
        self._point = int(self._grid.after[self._point, action])
        reward, told = float(self._earned[self._session, self._point]), self._told() | {OTHERS: self._others()}
        self._session += 1
        truncated = self._session - self._begun >= self._length or self._session == len(self._state) - 1
        return self._seen(), reward, False, truncated, told

    def after(self, seen: Float32) -> Float32:
        """What each action makes of what is seen, (n, n_actions, n_seen): the same session, the weights after it."""
        return afterstates(seen, self._moves, self._ends)

    def _others(self) -> Transitions:
        """What staying at other points, drawn at random, would have been: the rewards of all of them are known."""
        points = self.np_random.integers(len(self._weights), size=IMAGINED)
        seen, then = (
            np.hstack([np.tile(self._state[row], (IMAGINED, 1)), self._weights[points]])
            for row in (self._session, self._session + 1)
        )
        over = np.zeros(IMAGINED, bool)
        return Transitions(seen, np.zeros(IMAGINED, np.int64), self._earned[self._session, points], then, over)

    def _seen(self) -> Float32:
        return np.concatenate([self._state[self._session], self._weights[self._point]])

    def _told(self) -> dict[str, Any]:
        return {"session": self._session, "point": self._point}


def window(sessions: Sessions, first: int, last: int, scaling: Scaling, grid: Grid, *, length: int) -> ScoreWeights:
    """The environment of the sessions from `first` to before `last`, all of them matured."""
    earned = rewards(sessions.results[first:last], sessions.given[first:last], sessions.given[first:last])
    earned *= SPREAD / max(float(earned.std()), 1e-12)
    return ScoreWeights(scaling.apply(sessions.state[first:last]), earned, grid, length=length)
