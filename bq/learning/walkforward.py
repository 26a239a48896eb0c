"""Walk-forward training: out-of-sample predictions fold by fold, and the model that may be deployed."""

import datetime as dt
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.errors import BadData
from bq.core.parallel import parallel_map
from bq.core.scalars import moment
from bq.core.settings import Learning, Policy, Settings
from bq.learning import layers, splits
from bq.learning.model import FittedModel, Prediction, Sample, fit
from bq.learning.warm import Start
from bq.strategies.contract import Strategy
from bq.strategies.events import FeatureSet, in_order, matured
from bq.strategies.policy import ABOVE, EXPECTED, FROM, PROBABILITY_FROM, score_from
from bq.strategies.task import Task

CARRIED = ("event_id", "symbol", "session", "t0", "t1", "t1_due", "score", "outcome", "label")


class Training(NamedTuple):
    """Result of one training."""

    oos: pl.DataFrame  # one row per (model, event); see `train`
    folds: pl.DataFrame  # fold, test_from, test_to, train, purged, test
    artefact: FittedModel  # trained without the newest window; this and nothing else may be deployed
    newest: pl.DataFrame  # the newest window as the artefact predicts it, columns as `oos`
    trained_through: dt.datetime  # latest t1_due in the artefact's training
    layers: pl.DataFrame  # of a stack, out of sample: event_id, fold, layer (`stack` among them), expected
    notes: pl.DataFrame  # what was used or left out: model, fold (0: the artefact), layer, what, why, features
    ends: tuple[dt.datetime, ...] = ()  # with `learning.warm_start`: of the trainings that the artefact is made of


LAYERS = {"event_id": pl.String, "fold": pl.Int32, "layer": pl.String, "expected": pl.Float32}
NOTES: dict[str, Any] = {
    **dict.fromkeys(("model", "layer", "what", "why"), pl.String),
    "fold": pl.Int32,
    "features": pl.List(pl.String),
}


class Fitted(NamedTuple):
    """A model of one training window, and its predictions of later events."""

    model: FittedModel
    prediction: Prediction
    by_layer: dict[str, NDArray[np.float32]]  # of a stack: expected outcome by each layer alone


def check(events: pl.DataFrame, strategy: Strategy, settings: Settings) -> None:
    """Raise what `train` would raise for lack of events, before anything slow has run."""
    layers.check(settings.learning, layers.kind_of(len(strategy.task(settings).classes)))
    known = matured_events(events, strategy.task(settings), columns=CARRIED)
    splits.purged_walk_forward(known, settings.learning)
    splits.newest_window(known, settings.learning)


def matured_events(events: pl.DataFrame, task: Task, *, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The events matured by the newest outcome, labelled, sorted by (t0, symbol), whatever their order was.

    columns : of them that are needed, CARRIED among them; None: all.

    Raises BadData where they are too few to train on, or one of them occurs twice.
    """
    label = task.label(pl.col("outcome"))
    read = events
    if columns is not None:
        needed = dict.fromkeys([*columns, *label.meta.root_names()])
        read = events.select(name for name in needed if name != "label")
    labelled = in_order(read).with_columns(label=label)
    known = matured(labelled if columns is None else labelled.select(columns))
    if known.is_empty():
        raise BadData("at least one event must have matured (t1_due reached), but none has. Bring more recent bars.")
    if len(known) < splits.MIN_TRAINING_EVENTS:
        raise BadData(
            f"Insufficient samples: {len(known)} < {splits.MIN_TRAINING_EVENTS} labelled events that have matured, of "
            f"{len(events)} in all. Bring a longer history or more symbols; `make collect` counts them."
        )
    return known


def sample(events: pl.DataFrame, strategy: Strategy, features: FeatureSet) -> Sample:
    """The arrays a model trains on, one row a matured event."""
    category, size = strategy.table.cells(events)
    return Sample(
        x=features.matrix(events),
        label=events["label"].to_numpy(),
        outcome=events["outcome"].to_numpy(),
        weight=events["weight"].to_numpy(),
        category=category,
        size=size,
        events=events.select("session", "t0", "t1_due"),
        names=features.columns,
    )


def train(
    events: pl.DataFrame,
    strategy: Strategy,
    settings: Settings,
    *,
    task: Task | None = None,
    ends: Sequence[dt.datetime] = (),
) -> Training:
    """Walk forward with every model of the settings, then fit the candidate without the newest window.

    events : the event contract with the strategy's own columns, in any order. Only events whose `t1_due`
    lies at or before the newest `t1` in the table take part, whether or not they closed early.

    task : what to learn, default the strategy's own; its `success` gives the model of the second tier. ends : with
    `learning.warm_start` the ends of the trainings that the deployed model is made of; without any the artefact goes on
    from the last fold's model, as every fold does from the one before.

    The out-of-sample predictions hold CARRIED, the strategy's own columns, model, fold and expected; with classes also
    predicted, threshold, p_<class> and prior_<class>. `expected_above` and `score_from` are the thresholds of
    `bq.strategies.policy`, chosen in the training of the fold.

    Raises BadParameters, TemporalOverlap or BadData with what would be needed.
    """
    learning, task, features = settings.learning, task or strategy.task(settings), strategy.features(settings)
    models = list(dict.fromkeys([learning.model, *learning.compare]))
    layers.check(learning, layers.kind_of(len(task.classes)))
    carried = (*CARRIED, *strategy.table.carried)
    used = dict.fromkeys((*carried, "weight", *strategy.table.cells_from, *features.columns))
    known = matured_events(events, task, columns=list(used))
    folds = splits.purged_walk_forward(known, learning)
    last_train, window = splits.newest_window(known, learning)
    data, known = sample(known, strategy, features), known.select(carried)
    jobs = [(name, fold.train, fold.test) for name in models for fold in folds] + [(learning.model, last_train, window)]
    work = partial(fit_and_predict, data=data, learning=learning, n_classes=len(task.classes))
    made = _gone_on(jobs[: len(folds)], jobs[-1], work, ends) if learning.warm_start else None
    alone = jobs[len(made.folds) : -1] if made else jobs
    largest_first = parallel_map(work, alone[::-1], description="walk-forward") if alone else []
    fitted = [*made.folds, *largest_first[::-1], made.artefact] if made else largest_first[::-1]
    artefact, numbers = fitted[-1], [fold.number for _ in models for fold in folds]
    done = list(zip(jobs, fitted, numbers, strict=False))
    rows = partial(rows_of, task=task, policy=settings.policy, by=decides_by(task, strategy))
    return Training(
        oos=pl.concat([rows(known, *one) for one in done]),
        folds=_fold_table(known, folds),
        artefact=artefact.model,
        newest=rows(known, jobs[-1], artefact, 0),
        trained_through=moment(known["t1_due"].gather(last_train).max()),
        layers=pl.concat([pl.DataFrame(schema=LAYERS), *(_layer_rows(known, *one) for one in done)]),
        notes=pl.DataFrame(
            [row for one in [*done, (jobs[-1], artefact, 0)] for row in _note_rows(*one, features)],
            schema=NOTES,
        ),
        ends=made.ends if made else (),
    )


class GoneOn(NamedTuple):
    """Trainings of which each went on from the one before."""

    folds: list[Fitted]
    artefact: Fitted
    ends: tuple[dt.datetime, ...]  # of the trainings that the artefact is made of, its own the last


Job = tuple[str, NDArray[np.int64], NDArray[np.int64]]  # model, rows to train on, rows to predict


def fit_and_predict(
    job: Job, *, data: Sample, learning: Learning, n_classes: int, start: Start | None = None
) -> Fitted:
    """A model fitted on the training rows of `job`, and its predictions of the test rows. start : see `model.fit`."""
    name, train_rows, test_rows = job
    model = fit(name, data.rows(train_rows), n_classes=n_classes, learning=learning, start=start)
    test = data.rows(test_rows)
    return Fitted(model, *model.by_layer(test.x, test.category, test.size))


def _gone_on(folds: list[Job], last: Job, work: "partial[Fitted]", ends: Sequence[dt.datetime]) -> GoneOn:
    """Each fold goes on from the one before, and the artefact from the deployed model, or without one from the folds.

    ends : of the trainings that the deployed model is made of: it is made again by the same steps.
    """
    how = {name: value for name, value in work.keywords.items() if name != "data"}
    data: Sample = work.keywords["data"]
    due, made = data.events["t1_due"], list[Fitted]()
    start, starts = None, []
    for job in folds:
        made.append(work(job, start=start))
        start = Start(made[-1].model.base, moment(due.gather(job[1]).max()))
        starts.append(start)
    name, rows, _ = last
    end, start = moment(due.gather(rows).max()), None
    steps = [one for one in ends if one < end]
    for step in steps:
        within = rows[(due.gather(rows) <= step).to_numpy()]
        start = Start(fit(name, data.rows(within), **how, start=start).base, step)
    if not steps:
        steps = [one.through for one in starts if one.through < end]
        start = starts[len(steps) - 1] if steps else None
    return GoneOn(made, work(last, start=start), (*steps, end))


def decides_by(task: Task, strategy: Strategy) -> str:
    """The column that a model of this task decides by: of the second tier its probability."""
    return task.probability if task is strategy.success else EXPECTED


def rows_of(
    kept: pl.DataFrame, job: Job, fitted: Fitted, number: int, *, task: Task, policy: Policy, by: str
) -> pl.DataFrame:
    """Out-of-sample predictions of one job, columns as `Training.oos`. by : see `decides_by`."""
    model, at = fitted.model, thresholds(kept[job[1]], fitted.model, task, policy, by)
    rows = _predicted(kept[job[2]], fitted.prediction, model, task).with_columns(at)
    prior = {f"prior_{name}": pl.lit(float(model.prior[i])) for i, name in enumerate(task.classes)}
    return rows.with_columns(pl.lit(job[0]).alias("model"), pl.lit(number).alias("fold"), **prior)


def thresholds(trained: pl.DataFrame, model: FittedModel, task: Task, policy: Policy, by: str) -> list[pl.Expr]:
    """The columns `expected_above` and `score_from` of what a model predicts, from its training alone.

    trained : the events of its training window. A regression keeps none of them back, and the rule score then has no
    threshold.
    """
    above = pl.lit(policy.above).alias(ABOVE)
    if model.unseen is None:
        return [above, pl.lit(None, pl.Float64).alias(FROM)]
    known = _predicted(trained[model.unseen.rows], model.unseen.prediction, model, task).with_columns(above)
    return [above, pl.lit(score_from(known, by, policy), pl.Float64).alias(FROM)]


def _predicted(events: pl.DataFrame, prediction: Prediction, model: FittedModel, task: Task) -> pl.DataFrame:
    """Events with what a model predicts of them; with classes also the probability from which a second tier trades."""
    rows = events.with_columns(pl.Series(EXPECTED, prediction.expected))
    if not task.classes:
        return rows
    probabilities = {f"p_{name}": pl.Series(prediction.probabilities[:, i]) for i, name in enumerate(task.classes)}
    return rows.with_columns(
        pl.Series("predicted", prediction.probabilities.argmax(axis=1)),
        pl.lit(model.threshold).alias(PROBABILITY_FROM),
        **probabilities,
    )


def _layer_rows(kept: pl.DataFrame, job: Job, fitted: Fitted, number: int) -> pl.DataFrame:
    predicted = {**fitted.by_layer, job[0]: fitted.prediction.expected} if fitted.by_layer else {}
    ids = kept["event_id"].gather(job[2])
    parts = [
        pl.DataFrame({"event_id": ids, "fold": number, "layer": name, "expected": values}, schema=LAYERS)
        for name, values in predicted.items()
    ]
    return pl.concat([pl.DataFrame(schema=LAYERS), *parts])


def _note_rows(job: Job, fitted: Fitted, number: int, features: FeatureSet) -> list[dict[str, Any]]:
    """The notes of one model as rows of NOTES; the first names the features that were selected, where some were."""
    columns = fitted.model.preparation.columns
    names = ("layer", "what", "why")
    notes: list[dict[str, Any]] = [dict(zip(names, note, strict=True)) for note in fitted.model.notes]
    if columns is not None:
        chosen = [features.columns[column] for column in columns]
        counts = f"{len(chosen)} of {len(features.columns)}"
        notes.insert(0, {"layer": "features", "what": counts, "why": "selected", "features": chosen})
    return [{"model": job[0], "fold": number, **note} for note in notes]


def _fold_table(known: pl.DataFrame, folds: list[splits.Fold]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "fold": fold.number,
                "test_from": fold.start.date(),
                "test_to": known["t0"][int(fold.test[-1])].date(),
                "train": len(fold.train),
                "purged": int(fold.test[0]) - len(fold.train),
                "test": len(fold.test),
            }
            for fold in folds
        ]
    )
