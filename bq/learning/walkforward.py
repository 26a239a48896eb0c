"""Train on the past, predict the next block, move on: the out-of-sample stream, and the model that may be deployed."""

import datetime as dt
from functools import partial
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.errors import BadData
from bq.core.parallel import parallel_map
from bq.core.settings import Learning, Settings
from bq.learning import layers, splits
from bq.learning.model import FittedModel, Prediction, Sample, fit
from bq.strategies.contract import FeatureSet, Strategy, Task, matured

CARRIED = ("event_id", "symbol", "session", "t0", "t1", "t1_due", "score", "outcome", "label")


class Training(NamedTuple):
    """What one training gives."""

    oos: pl.DataFrame  # one row per (model, event): CARRIED, model, fold, p_<class>, predicted, expected, prior_<class>
    folds: pl.DataFrame  # fold, test_from, test_to, train, purged, test
    artefact: FittedModel  # trained without the newest window; this and nothing else may be deployed
    newest: pl.DataFrame  # the newest window as the artefact predicts it, columns as `oos`
    trained_through: dt.datetime  # latest t1_due in the artefact's training


def check(events: pl.DataFrame, settings: Settings) -> None:
    """Raise what `train` would raise for want of events, before anything long has run."""
    layers.check([settings.learning.model, *settings.learning.compare])
    splits.purged_walk_forward(_ripe(events), settings.learning)
    splits.newest_window(_ripe(events), settings.learning)


def _ripe(events: pl.DataFrame) -> pl.DataFrame:
    """The events that have matured by the newest outcome. Raises BadData where there is none."""
    cut = events["t1"].max()
    ripe = matured(events, cut=cut) if cut else events.clear()
    if ripe.is_empty():
        raise BadData("at least one event must have matured (t1_due reached), but none has. Bring more recent bars.")
    return ripe


def sample(events: pl.DataFrame, strategy: Strategy, features: FeatureSet) -> Sample:
    """The arrays a model trains on, one row a matured event."""
    category, size = strategy.cells(events)
    return Sample(
        x=features.matrix(events),
        label=events["label"].to_numpy(),
        outcome=events["outcome"].to_numpy(),
        weight=events["weight"].to_numpy(),
        category=category,
        size=size,
    )


SUCCESS = Task(("Failure", "Success"), (1e-12,))  # did it earn anything, net of costs


def train(events: pl.DataFrame, strategy: Strategy, settings: Settings, *, task: Task | None = None) -> Training:
    """Walk forward with every model of the settings, then fit the candidate without the newest window.

    events : the event contract with the strategy's own columns, sorted by (t0, symbol). Only events whose `t1_due`
    lies at or before the newest `t1` in the table take part, whether or not they closed early.

    task : what to learn, default the strategy's own; `SUCCESS` gives the success-probability model.

    Raises BadParameters, TemporalOverlap or BadData with what would be needed.
    """
    learning, task, features = settings.learning, task or strategy.task(settings), strategy.features(settings)
    models = list(dict.fromkeys([learning.model, *learning.compare]))
    layers.check(models)
    ripe = _ripe(events).with_columns(label=task.label(pl.col("outcome")))
    data = sample(ripe, strategy, features)
    folds = splits.purged_walk_forward(ripe, learning)
    last_train, window = splits.newest_window(ripe, learning)
    jobs = [(name, fold.train, fold.test) for name in models for fold in folds] + [(learning.model, last_train, window)]
    work = partial(
        _fit_and_predict, data=data, ripe=ripe.select("t0", "t1_due"), learning=learning, n_classes=len(task.classes)
    )
    *predicted, (artefact, newest) = parallel_map(work, jobs, description="walk-forward")
    rows = [
        _rows(ripe, job, fitted, answer, number=folds[i % len(folds)].number, task=task)
        for i, (job, (fitted, answer)) in enumerate(zip(jobs, predicted, strict=False))
    ]
    return Training(
        oos=pl.concat(rows),
        folds=_fold_table(ripe, folds),
        artefact=artefact,
        newest=_rows(ripe, jobs[-1], artefact, newest, number=0, task=task),
        trained_through=ripe["t1_due"].gather(last_train).max(),
    )


def _fit_and_predict(
    job: tuple[str, NDArray[np.int64], NDArray[np.int64]],
    *,
    data: Sample,
    ripe: pl.DataFrame,
    learning: Learning,
    n_classes: int,
) -> tuple[FittedModel, Prediction]:
    name, train_rows, test_rows = job
    inner = _calibration_split(ripe[train_rows], learning.calibration_share)
    fitted = fit(name, data.rows(train_rows), inner, n_classes=n_classes, seed=learning.seed)
    test = data.rows(test_rows)
    return fitted, fitted.predict(test.x, test.category, test.size)


def _calibration_split(events: pl.DataFrame, share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The newest `share` of the events, and those that ended before it began."""
    start = events["t0"][int(len(events) * (1.0 - share))]
    second = np.flatnonzero((events["t0"] >= start).to_numpy())
    first = np.flatnonzero((events["t1_due"] < start).to_numpy())
    if not len(first):
        raise BadData(
            f"training events must end before the calibration part starts ({start:%Y-%m-%d}), but none does; "
            "use longer windows."
        )
    return first, second


def _rows(
    ripe: pl.DataFrame,
    job: tuple[str, NDArray, NDArray],
    fitted: FittedModel,
    answer: Prediction,
    *,
    number: int,
    task: Task,
) -> pl.DataFrame:
    probabilities = {f"p_{name}": answer.probabilities[:, i] for i, name in enumerate(task.classes)}
    prior = {f"prior_{name}": pl.lit(float(fitted.prior[i])) for i, name in enumerate(task.classes)}
    return (
        ripe[job[2]]
        .select(CARRIED)
        .with_columns(
            pl.lit(job[0]).alias("model"),
            pl.lit(number).alias("fold"),
            pl.Series("expected", answer.expected),
            pl.Series("predicted", answer.probabilities.argmax(axis=1)),
            pl.lit(fitted.threshold).alias("threshold"),
            **{name: pl.Series(values) for name, values in probabilities.items()},
            **prior,
        )
    )


def _fold_table(ripe: pl.DataFrame, folds: list[splits.Fold]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "fold": fold.number,
                "test_from": fold.start.date(),
                "test_to": ripe["t0"][int(fold.test[-1])].date(),
                "train": len(fold.train),
                "purged": int(fold.test[0]) - len(fold.train),
                "test": len(fold.test),
            }
            for fold in folds
        ]
    )
