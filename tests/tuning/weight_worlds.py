"""Studies of learnt weights in worlds whose law is known, and what may be said of them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from weighed_strategy import GIVEN, WEIGHED, weighed_events, weighed_settings

from bq.core.settings import Settings
from bq.simulate.weighed import Weighed, weighed
from bq.tuning.weights import study, tune
from bq.tuning.weights.figures import WALKED
from bq.tuning.weights.results import Gain, WeightsRecord
from bq.tuning.weights.study import Ask

BEST = np.array([(50, 25, 5, 20), (5, 25, 50, 20)])  # by regime: what its law asks for, at the edges of the grid
STEP = 5  # by which weights move
PLANTED, NULL = 0, 1_100  # first seeds of the full forms
# Chosen by power on seeds 200 to 239, before any agent was tried there: who knows the regime and moves 5% a session
# passes the paired bounds in 40 of 40, and half of its gain in 38.
LAW = {"strength": 0.3, "stay": 40.0}
SESSIONS = 900


class World(NamedTuple):
    """A finished study in one world."""

    record: WeightsRecord
    free: float  # mean gain over the given weights of who knows the regime and moves at once, on the same sessions
    oracle: float  # the same of who moves a step a session, as agents do
    deploys: bool

    def gain(self, over: str, *, who: str = "learnt") -> Gain:
        return self.record.gain(WALKED, who, over)

    def beats(self, other: str) -> bool:
        return self.gain(other).low is not None and self.gain(other).low > 0.0

    def covers_zero(self) -> bool:
        return self.gain("given").low <= 0.0 <= self.gain("given").high


def studied(
    seed: int,
    law: Mapping[str, float],
    *,
    seeds: int = study.SEEDS,
    plan: study.Plan = study.PLAN,
    sessions: int = SESSIONS,
    settings: Settings | None = None,
) -> World:
    """The whole way, from events to the gate."""
    made = weighed(sessions, **law, seed=seed)
    ask = Ask(WEIGHED, settings or weighed_settings(), plan, seeds)
    found, judged = tune.tune(weighed_events(made), ask)
    own = (gained(made, found.curves, by) for by in (BEST[made.regime], walking(made)))
    return World(found.record, *own, judged.verdict.deploy)


def walking(made: Weighed) -> np.ndarray:
    """The weights of who knows the regime and moves a step a session towards what it asks for."""
    now, path = np.round(np.array(GIVEN) * 100).astype(int), []
    for regime in made.regime:
        missing = BEST[regime] - now
        now = now + STEP * (np.eye(4, dtype=int)[missing.argmax()] - np.eye(4, dtype=int)[missing.argmin()])
        path.append(now)
    return np.array(path)


def gained(made: Weighed, curves: pl.DataFrame, weights: np.ndarray) -> float:
    """By the events themselves, without the code under test: the five best of each session by these or the given."""
    first = weighed_events(made)["session"][0]
    days = curves.filter(pl.col("part") == WALKED)["session"]
    gains = []
    for row in ((days - first).dt.total_days() // 7).to_numpy():
        ours, given = (np.argsort(-(made.components[row] @ own))[:5] for own in (weights[row] / 100, np.array(GIVEN)))
        gains.append(made.outcome[row][ours].mean() - made.outcome[row][given].mean())
    return float(np.mean(gains))
