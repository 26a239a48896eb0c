"""Combinatorial purged cross-validation of a recipe: how much of a walk-forward's result is the luck of one path."""

import datetime as dt
from functools import partial

import numpy as np
import polars as pl

from bq.core.parallel import parallel_map
from bq.core.settings import Settings
from bq.learning import metrics, splits
from bq.learning.walkforward import CARRIED, fit_and_predict, matured_events, rows_of, sample
from bq.strategies.contract import Strategy
from bq.strategies.policy import EXPECTED


def backtest_paths(
    events: pl.DataFrame, strategy: Strategy, settings: Settings, *, groups: int = 6, tested: int = 2
) -> pl.DataFrame:
    """What the recipe of the settings predicts on each path of combinatorial purged cross-validation.

    Returns the predictions with `path` in front. Every path predicts every matured event once, by models that also saw
    later events (purged, with the embargo of the settings): the spread over paths shows how much one history owes to
    luck. The gate does not count it as evidence.

    groups, tested : C(groups, tested) trainings give C(groups − 1, tested − 1) paths; see `splits.combinatorial`.
    """
    learning, task = settings.learning, strategy.task(settings)
    matured = matured_events(events, task)
    line = splits.Timeline.of(matured)
    embargo = dt.timedelta(days=learning.embargo_days)
    made = splits.combinatorial(line, groups=groups, tested=tested, embargo=embargo)
    jobs = [(learning.model, line.rows(split.train), line.rows(split.test)) for split in made.splits]
    data = sample(matured, strategy, strategy.features(settings))
    work = partial(fit_and_predict, data=data, learning=learning, n_classes=len(task.classes))
    kept = matured.select(*CARRIED, *strategy.table.carried)
    predicted = [
        rows_of(kept, job, fitted, number, task=task, policy=settings.policy, by=EXPECTED)
        for number, (job, fitted) in enumerate(zip(jobs, parallel_map(work, jobs, description="paths"), strict=True))
    ]
    members = [line.rows(group[None, :]) for group in made.groups]
    ids = [kept["event_id"].gather(rows) for rows in members]
    parts = [
        predicted[split]
        .filter(pl.col("event_id").is_in(ids[group].implode()))
        .select(pl.lit(path).alias("path"), pl.all())
        for path, choice in enumerate(np.asarray(made.paths), start=1)
        for group, split in enumerate(choice)
    ]
    return pl.concat(parts)


def summary(paths: pl.DataFrame, strategy: Strategy, settings: Settings) -> pl.DataFrame:
    """Means over the sessions of each path, as `versus`: path, sessions, model, baseline, uplift."""
    rows = []
    for (path,), predictions in paths.group_by("path", maintain_order=True):
        pairs = metrics.versus(predictions, strategy, settings)
        means = {name: pairs[name].mean() for name in ("model", "baseline", "uplift")}
        rows.append({"path": path, "sessions": len(pairs), **means})
    return pl.DataFrame(rows)
