"""Studies of learnt weights in worlds whose law is known, and what may be said of them."""

from typing import NamedTuple

import numpy as np
import polars as pl
from weighed_strategy import GIVEN, WEIGHED, weighed_events, weighed_settings

from bq.core.settings import Settings
from bq.learning.weighing import Grid
from bq.simulate.weighed import Weighed, weighed
from bq.tuning.weights import study, tune
from bq.tuning.weights.figures import WALKED
from bq.tuning.weights.results import Gain, WeightsRecord
from bq.tuning.weights.study import Ask

BEST = ((50, 25, 5, 20), (5, 25, 50, 20))  # by regime: what its law asks for, at the edges of the grid
PLANTED, NULL = 2_000, 1_100  # first seeds of the full forms
SESSIONS = 900


class World(NamedTuple):
    """A finished study in one world."""

    record: WeightsRecord
    oracle: float  # mean gain over the given weights of who knows the regime and moves at once, on the same sessions
    deploys: bool

    def gain(self, over: str, *, who: str = "learnt") -> Gain:
        return self.record.gain(WALKED, who, over)

    def beats(self, other: str) -> bool:
        return self.gain(other).low is not None and self.gain(other).low > 0.0

    def covers_zero(self) -> bool:
        return self.gain("given").low <= 0.0 <= self.gain("given").high


def studied(
    seed: int,
    *,
    strength: float,
    seeds: int,
    plan: study.Plan = study.PLAN,
    sessions: int = SESSIONS,
    settings: Settings | None = None,
) -> World:
    """The whole way, from events to the gate."""
    made = weighed(sessions, strength=strength, seed=seed)
    ask = Ask(WEIGHED, settings or weighed_settings(), plan, seeds)
    found, judged = tune.tune(weighed_events(made), ask)
    return World(found.record, oracle_gain(made, found.curves), judged.verdict.deploy)


def oracle_gain(made: Weighed, curves: pl.DataFrame) -> float:
    """By the events themselves, without the code under test: the five best of each session by either weights."""
    first = weighed_events(made)["session"][0]
    days = curves.filter(pl.col("part") == WALKED)["session"]
    rows = ((days - first).dt.total_days() // 7).to_numpy()
    gains = []
    for row in rows:
        score = {name: made.components[row] @ np.array(of) for name, of in _weights(made.regime[row]).items()}
        picked = {name: np.argsort(-own)[:5] for name, own in score.items()}
        gains.append(made.outcome[row][picked["best"]].mean() - made.outcome[row][picked["given"]].mean())
    return float(np.mean(gains))


def _weights(regime: int) -> dict[str, tuple[float, ...]]:
    assert list(BEST[regime]) in Grid.of(4).points.tolist()
    return {"best": tuple(share / 100 for share in BEST[regime]), "given": GIVEN}
