"""A cross-section with a planted signal: one linear part, one interaction, one that turns with the regime."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy.signal import lfilter

from bq.core.settings import Learning, Regimes, Stack
from bq.learning.model import Sample
from bq.strategies.events import UTC

FIRST = dt.datetime(2015, 1, 2, 21, tzinfo=dt.UTC)
STATES = 3


class Panel(NamedTuple):
    """Events and what the best forecast of their target would be."""

    sample: Sample
    oracle: np.ndarray


MOSTLY_LINEAR = tuple(np.sqrt([0.6, 0.2, 0.2 / 1.5]))  # the shares of variance of the simulated market


def panel(
    *,
    symbols: int = 30,
    sessions: int = 400,
    features: int = 8,
    ic: float = 0.2,
    seed: int = 0,
    parts: tuple[float, float, float] = (1.0, 1.0, 1.0),
    horizon: int = 1,
) -> Panel:
    """Weekly sessions; the last three columns are regime probabilities, missing in the first twenty sessions.

    parts : weights of the linear part, the interaction and the part that turns. horizon : with more than 1, sessions
    are daily, noise is the sum of so many days ahead, and features persist: rank ICs of neighbours are alike.
    """
    rng = np.random.default_rng(seed)
    n, week = symbols * sessions, np.repeat(np.arange(sessions), symbols)
    x = rng.standard_normal((n, features)).astype(np.float32)
    if horizon > 1:
        x = _persistent(x.reshape(sessions, symbols * features)).reshape(n, features)
    state = rng.integers(0, STATES, sessions // 5 + 1).repeat(5)[week]  # spells of five sessions
    p = (0.8 * np.eye(STATES)[state] + 0.2 / STATES).astype(np.float32)
    turning = x[:, 3] * np.array([-1.5, 0.0, 1.5])[state]
    signal = parts[0] * x[:, 0] + parts[1] * x[:, 1] * x[:, 2] + parts[2] * turning
    signal /= signal.std()
    days = rng.standard_normal((sessions + horizon - 1, symbols))
    noise = np.lib.stride_tricks.sliding_window_view(days, horizon, axis=0).sum(axis=2).ravel() / np.sqrt(horizon)
    target = ic * signal + np.sqrt(1 - ic**2) * noise
    p[week < 20] = np.nan
    x[rng.random(x.shape) < 0.01] = np.nan
    step = dt.timedelta(weeks=1) if horizon == 1 else dt.timedelta(days=1)
    t0 = pl.Series([FIRST + int(w) * step for w in week], dtype=UTC)
    times = pl.DataFrame({"session": t0.dt.date(), "t0": t0, "t1_due": t0 + dt.timedelta(days=10)})
    ones = np.ones(n, np.float32)
    return Panel(Sample(np.hstack([x, p]), target, target, ones, np.zeros(n, np.int64), ones, times), signal)


def _persistent(shocks: np.ndarray, memory: float = 0.97) -> np.ndarray:
    """Autoregressions of variance 1 down the rows."""
    x = lfilter([np.sqrt(1.0 - memory**2)], [1.0, -memory], shocks[1:], axis=0, zi=memory * shocks[:1])[0]
    return np.vstack([shocks[:1], x]).astype(np.float32)


def learning(*, stack: dict | None = None, **changes: object) -> Learning:
    """Settings of a stack with regimes; trees few and small enough for a test."""
    few = {
        "lightgbm": {"n_estimators": 40, "num_leaves": 15},
        "xgboost": {"n_estimators": 40, "max_depth": 4, "learning_rate": 0.1},
    }
    defaults = {"features": "", "model": "stack", "regimes": Regimes(), "hyperparameters": few}
    return Learning(**{**defaults, "stack": Stack(**{"inner_folds": 2, **(stack or {})}), **changes})


def rank_ic(forecast: np.ndarray, target: np.ndarray, events: pl.DataFrame) -> np.ndarray:
    """Spearman correlation within each session, in time order."""
    frame = pl.DataFrame({"a": forecast, "b": target, "session": events["session"]})
    ic = frame.group_by("session").agg(pl.corr("a", "b", method="spearman")).sort("session")
    return ic["a"].fill_nan(0.0).to_numpy()
