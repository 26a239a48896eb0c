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

KIND = "weights"  # of a checkpoint in the ledger
HOLDOUT_DAYS = 180
SEEDS = 5
CHOSEN_ON = 0.2  # newest share of a training window, on which the checkpoint is chosen
EPISODE = 52  # sessions
PLAN = Plan(
    steps=6_000,
    hidden=(64, 64),
    learning_rate=5e-4,
    rate_left=0.05,
    memory=20_000,
    discount=0.9,
    train_every=64,
    updates=16,
    target_every=64,
    explore_share=1.0,
    explore_last=0.5,
    checkpoint_every=1_000,
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


class Chosen(NamedTuple):
    """The checkpoint that one seed chose in one window."""

    step: int
    network: Network
    tried: NDArray[np.float64]  # (n_checkpoints, n_sessions) what each checkpoint earned where it was judged
    steps: Rows  # of the checkpoints
    judged_on: Rows  # the sessions


class Walked(NamedTuple):
    """A finished study."""

    name: str
    grid: Grid
    sessions: Sessions  # matured ones alone
    parts: list[Part]  # the test blocks in order, then the holdout
    paths: NDArray[np.int64]  # (n_parts, n_seeds + 1, n_sessions) points: by each seed's policy, and by that of all
    policies: list[Policy]  # of all seeds together, one a part; the last one would be deployed
    trials: int  # checkpoints that could be chosen


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
    """Learn in each window and follow what was learnt. Every checkpoint is entered in the ledger.

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
    jobs = [(one, seed) for one in parts for seed in range(ask.seeds)]
    paths_of, policies, trials = [], [], 0
    made: dict[int, list[Chosen]] = {place: [] for place in range(len(parts))}
    scalings = [Scaling.of(sessions.state[one.train]) for one in parts]
    for one, seed in progress(jobs, total=len(jobs), description="weights"):
        place = parts.index(one) if one.number == 0 else one.number - 1
        found = _trained(name, sessions, one, scalings[place], grid, start, ask, seed)
        made[place].append(found)
        trials += len(found.steps)
        _enter(name, found, sessions, one, seed, matured, ask)
    for place, _ in enumerate(parts):
        several = [one.network for one in made[place]]
        own = [folded(network, scalings[place], grid) for network in (*several, Network.mean_of(several))]
        paths_of.append([path(one.actions, sessions, grid, start) for one in own])
        policies.append(own[-1])
    return Walked(name, grid, sessions, parts, np.array(paths_of), policies, trials)


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


def halves(sessions: Sessions, train: Rows) -> tuple[Rows, Rows]:
    """The part of a training window that is learnt from, ended before the other began, by which is chosen."""
    judged_on = train[int(len(train) * (1.0 - CHOSEN_ON)) :]
    learnt_from = train[sessions.due[train] < sessions.t0[judged_on[0]]]
    return learnt_from, judged_on


def fit(sessions: Sessions, train: Rows, scaling: Scaling, grid: Grid, start: int, plan: Plan, *, seed: int) -> Chosen:
    """Learn in a training window by one seed, and choose the checkpoint that earned most on its newest part."""
    learnt_from, judged_on = halves(sessions, train)
    own, judged = _rows(sessions, learnt_from), _rows(sessions, judged_on)
    env = window(own, 0, len(learnt_from), scaling, grid, length=EPISODE)
    kept, tried = [], []
    for one in dqn.learn(env, plan, seed=seed):
        points = path(folded(one.network, scaling, grid).actions, judged, grid, start)
        tried.append(judged.results[np.arange(len(points)), points])
        kept.append(one)
    best = int(np.mean(tried, axis=1).argmax())
    steps = np.array([one.step for one in kept])
    return Chosen(kept[best].step, kept[best].network, np.array(tried), steps, judged_on)


def _rows(sessions: Sessions, rows: Rows) -> Sessions:
    return Sessions._make([sessions.session.gather(rows), *(field[rows] for field in sessions[1:])])


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


def _trained(
    name: str, sessions: Sessions, one: Part, scaling: Scaling, grid: Grid, start: int, ask: Ask, seed: int
) -> Chosen:
    """`fit`, or what an earlier process kept of the same."""
    file = paths.home() / "data" / "tuning" / name / f"{one.number}-{seed}.npz"
    if ask.keep and file.is_file():
        with contextlib.suppress(BadData):
            return _read(file)
    own = int(files.digest([ask.settings.tuning.seed, one.number, seed], length=7), 16)
    found = fit(sessions, one.train, scaling, grid, start, ask.plan, seed=own)
    if ask.keep:
        _write(file, found)
    return found


def _write(file: Path, found: Chosen) -> None:
    layers: dict[str, Any] = {f"weights_{i}": own for i, own in enumerate(found.network.weights)}
    layers |= {f"biases_{i}": own for i, own in enumerate(found.network.biases)}
    target = io.BytesIO()
    np.savez(target, step=found.step, tried=found.tried, steps=found.steps, judged_on=found.judged_on, **layers)
    file.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(file, target.getvalue())


def _read(file: Path) -> Chosen:
    """What `_write` wrote. Raises BadData where it cannot be read: it is then learnt again."""
    try:
        with np.load(io.BytesIO(files.read_bytes(file))) as held:
            layers = range(sum(name.startswith("weights_") for name in held.files))
            network = Network(*(tuple(held[f"{kind}_{i}"] for i in layers) for kind in ("weights", "biases")))
            return Chosen(int(held["step"]), network, held["tried"], held["steps"], held["judged_on"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BadData(f"{file}: must hold a training, but cannot be read ({error}).") from None


def _enter(name: str, found: Chosen, sessions: Sessions, one: Part, seed: int, events: pl.DataFrame, ask: Ask) -> None:
    """Each checkpoint that could be chosen, and what it earned where it was judged, into the ledger."""
    days, symbols = sessions.session.gather(found.judged_on), events["symbol"].unique()
    facts: dict[str, Any] = {"recipe": recipe(ask), "events": name}
    looks = []
    for place, (step, earned) in enumerate(zip(found.steps.tolist(), found.tried, strict=True)):
        number = (one.number * ask.seeds + seed) * len(found.steps) + place
        parameters = {"block": one.number, "seed": seed, "step": step}
        series = pl.DataFrame({"session": days, "value": earned})
        shown = {"mean": float(earned.mean())}
        looks.append(ledger.Look(KIND, name, number, parameters, series, symbols, shown=shown, **facts))
    ledger.record(ask.settings.namespace.weights, looks)


def followed(walked: Walked, member: int = -1) -> Iterator[tuple[Part, Rows, NDArray[np.int64]]]:
    """Each part with its sessions and the points there. member : a seed's policy; -1: that of all together."""
    for one, points in zip(walked.parts, walked.paths[:, member], strict=True):
        yield one, one.test, points[one.test]
