"""Learnt weights walked forward: an agent of some seeds for each test block, and one more for what came after it all.

The last 180 days before the newest matured session are seen by no training and choose nothing. Each training is kept
as it ends (data/tuning/<study>/), so that an interrupted study goes on where it was.
"""

import contextlib
import datetime as dt
import io
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core import files, paths
from bq.core.errors import BadData
from bq.core.log import progress
from bq.core.section import Affects, part
from bq.core.settings import Settings
from bq.learning import splits
from bq.learning.network import Network
from bq.learning.sample import Bounds, Rows
from bq.learning.weighing import WHOLE, Grid, Sessions, sessions_of, weighing_of
from bq.learning.weight_policy import Policy, path
from bq.serving import ledger
from bq.serving.basis import events_digest
from bq.strategies.contract import Strategy
from bq.strategies.events import UTC
from bq.tuning.weights import dqn
from bq.tuning.weights.dqn import Plan
from bq.tuning.weights.environment import WEIGHT_SPREAD, Scaling, window

KIND = "weights"  # of a seed's policy in the ledger
HOLDOUT_DAYS = 180
SEEDS = 5
EPISODE = 52  # sessions
PLAN = Plan(
    steps=3_000,
    hidden=(64, 64),
    learning_rate=1e-3,
    rate_left=0.05,
    batch=128,
    discount=0.5,
    train_every=64,
    updates=16,
    target_every=64,
    explore_share=1.0,
    explore_last=0.5,
)
SOURCES = ("tuning/weights", "learning/weighing.py", "learning/weight_policy.py", "learning/network.py")


class Ask(NamedTuple):
    """What is learnt. The same ask gives the same study."""

    strategy: Strategy[Any]
    settings: Settings
    plan: Plan = PLAN
    seeds: int = SEEDS
    keep: bool = False  # whether trainings are kept, and taken up again


class Part(NamedTuple):
    """A window of training, and the sessions that its policies are then asked about."""

    number: int  # of the test block, from 1; 0: the holdout
    train: Rows  # of the sessions
    test: Rows


class Walked(NamedTuple):
    """A finished study."""

    name: str
    grid: Grid
    sessions: Sessions  # matured ones alone
    parts: list[Part]  # the test blocks in order, then the holdout
    paths: NDArray[np.int64]  # (n_parts, n_seeds + 1, n_sessions) points: by each seed's policy, and by that of all
    policies: list[Policy]  # of all seeds together, one a part; the last one would be deployed

    @property
    def trials(self) -> int:
        """How many policies were learnt: one a part and seed."""
        return len(self.parts) * (self.paths.shape[1] - 1)


def recipe(ask: Ask) -> str:
    """Digest of the way of learning: weights and rules of the score, of what is seen and of the agent."""
    weighing, settings = weighing_of(ask.strategy), ask.settings
    score = [weighing.components, weighing.given(settings), weighing.market, settings.policy.model_dump(mode="json")]
    trade_at = ask.strategy.task(settings).trade_score
    return files.digest([score, trade_at, ask.plan._asdict(), ask.seeds, settings.tuning.seed, _code()])


@cache
def _code() -> str:
    """Digest of the code that learns, as this process found it."""
    package = paths.CHECKOUT / "bq"
    found = [package / name for name in SOURCES]
    return files.digest_of_files([file for at in found for file in (sorted(at.rglob("*.py")) or [at])], package)


def name_of(events: pl.DataFrame, ask: Ask) -> str:
    """Name of the study: it changes with events, parameters and code."""
    told = [events_digest(events), part(ask.settings, Affects.RECIPE | Affects.EVENTS), recipe(ask)]
    return f"{ask.settings.namespace.weights}_{files.digest(told, length=12)}"


def whole_sessions(events: pl.DataFrame) -> pl.DataFrame:
    """The events of sessions that have matured as a whole."""
    last = events["t1"].max()
    whole = ((pl.col("t1_due") <= last) & pl.col("outcome").is_not_null()).all().over("session")
    return events.filter(whole)


def walk(events: pl.DataFrame, ask: Ask) -> Walked:
    """Learn in each window and follow what was learnt. Every policy is entered in the ledger.

    events : all of the market. Raises BadData or TemporalOverlap where history is too short for the test blocks.
    """
    matured, grid = whole_sessions(events), Grid.of(len(weighing_of(ask.strategy).components))
    if matured.is_empty():
        raise BadData(
            "learnt weights need sessions whose outcomes are all known, but there are none. Bring later bars."
        )
    sessions = sessions_of(matured, ask.strategy, ask.settings, grid)
    parts, name = divided(sessions, ask.settings), name_of(matured, ask)
    start = grid.nearest(np.array(weighing_of(ask.strategy).given(ask.settings)))
    made: list[list[Network]] = [[] for _ in parts]
    scalings = [Scaling.of(sessions.state[one.train]) for one in parts]
    jobs = [(place, seed) for place in range(len(parts)) for seed in range(ask.seeds)]
    for place, seed in progress(jobs, total=len(jobs), description="weights"):
        made[place].append(_trained(name, sessions, parts[place], scalings[place], grid, ask, seed))
    policies = [
        [folded(network, scaling, grid) for network in (*several, Network.mean_of(several))]
        for several, scaling in zip(made, scalings, strict=True)
    ]
    points = [[path(one.actions, sessions, grid, start) for one in several] for several in policies]
    walked = Walked(name, grid, sessions, parts, np.array(points), [several[-1] for several in policies])
    ledger.record(ask.settings.namespace.weights, _looks(walked, matured["symbol"].unique(), ask))
    return walked


def divided(sessions: Sessions, settings: Settings) -> list[Part]:
    """The test blocks of `learning.folds` before the holdout, each with the sessions that may train for it; then that.

    Raises BadData or TemporalOverlap where there is too little history.
    """
    stamps = {"t0": sessions.t0, "t1_due": sessions.due}
    frame = pl.DataFrame(stamps).select(pl.all().cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(UTC))
    begins = frame["t0"][-1] - dt.timedelta(days=HOLDOUT_DAYS)
    before = frame.filter(pl.col("t1_due") < begins)
    if before.is_empty():
        raise BadData(f"learnt weights need sessions before the last {HOLDOUT_DAYS} days, but there are none.")
    try:
        folds = splits.purged_walk_forward(before, settings.learning)
    except BadData as error:
        raise BadData(f"learnt weights, for which a session is one event: {error}") from None
    held_out = np.flatnonzero((frame["t0"] >= begins).to_numpy())
    return [*(Part(one.number, one.train, one.test) for one in folds), Part(0, np.arange(len(before)), held_out)]


def fit(sessions: Sessions, train: Rows, scaling: Scaling, grid: Grid, plan: Plan, *, seed: int) -> Network:
    """Learn in a training window by one seed. The last policy is taken.

    Sessions held back to choose a checkpoint by would be the newest, which say most about what follows.
    """
    own = Sessions._make([sessions.session.gather(train), *(field[train] for field in sessions[1:])])
    *_, last = dqn.learn(window(own, 0, len(train), scaling, grid, length=EPISODE), plan, seed=seed)
    return last.network


def folded(network: Network, scaling: Scaling, grid: Grid) -> Policy:
    """The policy that a network is on raw state: the standardisation becomes part of its first layer."""
    n = grid.points.shape[1]
    mean = np.concatenate([scaling.mean.astype(np.float64), np.full(n, 1.0 / n)])
    spread = np.concatenate([scaling.spread.astype(np.float64), np.full(n, WEIGHT_SPREAD)])
    weights = [own.astype(np.float64) for own in network.weights]
    biases = [own.astype(np.float64) for own in network.biases]
    weights[0] = weights[0] / spread[:, None]
    biases[0] = biases[0] - mean @ weights[0]
    edges = (np.zeros(n), np.ones(n), np.full(n, 1.0 / n))
    bounds = [np.concatenate([a, b]).astype(np.float32) for a, b in zip(scaling.bounds, edges, strict=True)]
    return Policy(Bounds(*bounds), Network(tuple(weights), tuple(biases)), grid.moves / WHOLE)


def _trained(name: str, sessions: Sessions, one: Part, scaling: Scaling, grid: Grid, ask: Ask, seed: int) -> Network:
    """`fit`, or what an earlier process kept of the same."""
    file = paths.home() / "data" / "tuning" / name / f"{one.number}-{seed}.npz"
    if ask.keep and file.is_file():
        with contextlib.suppress(BadData):
            return _read(file)
    own = int(files.digest([ask.settings.tuning.seed, one.number, seed], length=7), 16)
    found = fit(sessions, one.train, scaling, grid, ask.plan, seed=own)
    if ask.keep:
        _write(file, found)
    return found


def _write(file: Path, network: Network) -> None:
    layers: dict[str, Any] = {f"weights_{i}": own for i, own in enumerate(network.weights)}
    layers |= {f"biases_{i}": own for i, own in enumerate(network.biases)}
    target = io.BytesIO()
    np.savez(target, **layers)
    file.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(file, target.getvalue())


def _read(file: Path) -> Network:
    """What `_write` wrote. Raises BadData where it cannot be read: it is then learnt again."""
    try:
        with np.load(io.BytesIO(files.read_bytes(file))) as held:
            layers = range(sum(name.startswith("weights_") for name in held.files))
            return Network(*(tuple(held[f"{kind}_{i}"] for i in layers) for kind in ("weights", "biases")))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BadData(f"{file}: must hold a training, but cannot be read ({error}).") from None


def _looks(walked: Walked, symbols: pl.Series, ask: Ask) -> list[ledger.Look]:
    """Each seed's policy, and what it earned in the sessions after its training, for the ledger."""
    facts: dict[str, Any] = {"recipe": recipe(ask), "events": walked.name}
    looks = []
    for seed in range(ask.seeds):
        for one, test, points in followed(walked, seed):
            earned = walked.sessions.results[test, points]
            series = pl.DataFrame({"session": walked.sessions.session.gather(test), "value": earned})
            parameters = {"block": one.number, "seed": seed, "step": ask.plan.steps}
            number, shown = one.number * ask.seeds + seed, {"mean": float(earned.mean())}
            looks.append(ledger.Look(KIND, walked.name, number, parameters, series, symbols, shown=shown, **facts))
    return looks


def followed(walked: Walked, member: int = -1) -> Iterator[tuple[Part, Rows, NDArray[np.int64]]]:
    """Each part with its sessions and the points there. member : a seed's policy; -1: that of all together."""
    for one, points in zip(walked.parts, walked.paths[:, member], strict=True):
        yield one, one.test, points[one.test]
