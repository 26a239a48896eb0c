"""Tuning: what keeping a study costs, and a search of a hundred trials on the shipped bars."""

import itertools
import os

from bq import market
from bq.core import params, paths
from bq.strategies.breakout import STRATEGY
from bq.strategies.breakout.settings import BreakoutSettings
from bq.tuning import strategy, study
from bq.tuning.parameters import values_of
from bq.tuning.scoring import Scores
from bq.tuning.windows import divide
from tests.bench.measure import Plan, cost, in_turn, pair
from tests.bench.row import Goal, Row

MOST_SECONDS = 10.0  # of a hundred trials


def kept_study(plan: Plan) -> Row:
    """A study kept in its journal against the same in memory."""
    trials = plan.n(full=100, quick=30, tiny=2)
    given, scores = _prepared()
    names = (f"bench_{os.getpid()}_{number}" for number in itertools.count())
    try:
        times = pair(
            lambda: _search(given, scores, None, trials),
            lambda: _search(given, scores, next(names), trials),
            peer_n=trials,
            ours_n=trials,
            repeats=plan.n(full=5, quick=3, tiny=1),
        )
    finally:
        for path in (paths.home() / "data" / "tuning").glob(f"bench_{os.getpid()}_*"):
            path.unlink()
    return times.row(
        of="a trial",
        n=f"{trials} trials of the breakout rules, {given.tuning.folds} folds",
        peer="Optuna, in memory",
        goal=cost(1.5),
        notes=("each trial is one line of a journal, synced; the study can be gone on with after a kill",),
    )


def hundred_trials(plan: Plan) -> Row:
    """A search of a hundred trials with its evidence, in memory, on the shipped bars."""
    trials = plan.n(full=100, quick=100, tiny=4)
    given = params.load(paths.parameters("breakout"), BreakoutSettings, overrides=f"tuning.trials={trials}")
    data = market.load(given.market)
    seconds = in_turn(
        lambda: strategy.tune(STRATEGY, given, data, keep=False), repeats=plan.n(full=3, quick=1, tiny=1)
    )[0]
    return Row(
        of="a search",
        n=f"{trials} trials, {len(data.bars):,} bars",
        ours_seconds=float(sorted(seconds)[len(seconds) // 2]),
        goals=(Goal("seconds", float(sorted(seconds)[len(seconds) // 2]), "≤", MOST_SECONDS, " s"),),
        repeats=len(seconds),
        spread=(float(seconds.min()), float(seconds.max())),
    )


def _prepared() -> tuple[BreakoutSettings, Scores]:
    given = params.load(paths.parameters("breakout"), BreakoutSettings)
    ready = STRATEGY.backtester.scorer(market.load(given.market), given)
    return given, Scores(ready, given, divide(ready.sessions, given.tuning), "bench", "", given.tuning.objective)


def _search(given: BreakoutSettings, scores: Scores, name: str | None, trials: int) -> None:
    ranges = strategy.ranges_of(STRATEGY)
    under_way = study.begin(name, ranges, seed=given.tuning.seed, first=values_of(given, ranges))
    study.run(under_way, scores.measure, keep=scores.keep, trials=trials)
