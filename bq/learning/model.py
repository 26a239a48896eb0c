"""A model from raw features to calibrated class probabilities and the expected outcome, or to a number."""

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.errors import BadData
from bq.core.settings import Learning
from bq.learning import layers, stacking, warm
from bq.learning.layers import CLASSIFICATION, REGRESSION, Kind
from bq.learning.sample import Bounds, Float32, Preparation, Rows, Sample, decayed
from bq.learning.stack_layers import Note
from bq.learning.stacking import SMALLEST, Stack
from bq.learning.warm import Start

SHRINKAGE = 50.0  # events' worth of weight that the pooled class means have in every cell


class Prediction(NamedTuple):
    """Prediction for each event."""

    probabilities: Float32  # (n_events, n_classes); for a regression (n_events, 0)
    expected: Float32  # (n_events,), the outcome's unit


class Unseen(NamedTuple):
    """The calibration part of a training window, as a first model predicted it that was fitted on what ended before."""

    rows: Rows  # of the window's events
    prediction: Prediction


class ClassMeans(NamedTuple):
    """Mean outcome of each class by cell (category × size tercile), shrunk to the pool, from training events only."""

    edges: Float32  # (n_categories + 1, 2) size terciles
    means: Float32  # ((n_categories + 1) * 3, n_classes); the last category: any not seen in training

    @staticmethod
    def of(s: Sample, n_classes: int) -> "ClassMeans":
        """Weighted means with `SHRINKAGE` events' worth of the pooled mean of the class."""
        n_categories = int(s.category.max()) + 2
        edges = np.zeros((n_categories, 2), np.float32)
        for category in np.unique(s.category[~np.isnan(s.size)]):  # where no size is known there are no terciles
            edges[category] = np.nanquantile(s.size[s.category == category], [1 / 3, 2 / 3])
        cell = _cell(s.category, s.size, edges)
        shape = (n_categories * 3, n_classes)
        total, mass = np.zeros(shape), np.zeros(shape)
        np.add.at(total, (cell, s.label), s.weight * s.outcome)
        np.add.at(mass, (cell, s.label), s.weight)
        pooled = total.sum(axis=0) / mass.sum(axis=0)
        strength = SHRINKAGE * s.weight.mean()
        return ClassMeans(edges, ((total + strength * pooled) / (mass + strength)).astype(np.float32))

    def of_events(self, category: NDArray[np.int64], size: Float32) -> Float32:
        """Class means of each event, shape (n_events, n_classes); the pooled means where the category is new."""
        return self.means[_cell(category, size, self.edges)]


def _cell(category: NDArray[np.int64], size: Float32, edges: Float32) -> NDArray[np.int64]:
    category = np.minimum(category, len(edges) - 1)
    return category * 3 + (size[:, None] > edges[category]).sum(axis=1)


class FittedModel(NamedTuple):
    """Everything a decision needs; the same steps, in the same order, are exported to ONNX.

    A classifier has all fields. A regression predicts `expected` alone: its target, by `base`.
    """

    name: str  # of the base model, or `stack`
    preparation: Preparation
    base: Any
    temperature: float = 1.0
    class_means: ClassMeans | None = None
    prior: Float32 = np.zeros(0, np.float32)  # training class frequencies, (n_classes,): the baseline of log-loss
    threshold: float | None = None  # of the best class's probability, the most profitable in the calibration part
    unseen: Unseen | None = None  # None for a regression

    @property
    def kind(self) -> Kind:
        """Whether outcomes are predicted in classes or as a number."""
        return CLASSIFICATION if self.class_means else REGRESSION

    @property
    def bounds(self) -> Bounds:
        """Training bounds of all features."""
        return self.preparation.bounds

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a stack used or left out, and why."""
        return self.base.notes if isinstance(self.base, Stack) else ()

    def predict(self, x: Float32, category: NDArray[np.int64], size: Float32) -> Prediction:
        """Prediction for each row of features (float32, NaN where missing)."""
        return self._prediction(layers.predict(self.base, self.preparation.apply(x), self.kind), category, size)

    def by_layer(self, x: Float32, category: NDArray[np.int64], size: Float32) -> tuple[Prediction, dict[str, Float32]]:
        """`predict`, and the expected outcome by each layer of a stack alone and by `average`, their weighted mean."""
        if not isinstance(self.base, Stack):
            return self.predict(x, category, size), {}
        ready = self.preparation.apply(x)
        columns = self.base.columns(ready)
        whole = self._prediction(self.base.combine(columns, ready), category, size)
        alone = {**columns, "average": self.base.average(columns)}
        plain = self._replace(temperature=1.0)
        return whole, {name: plain._prediction(column, category, size).expected for name, column in alone.items()}

    def importance(self) -> dict[str, NDArray[np.float64]]:
        """Share of each feature in each layer (of the gain, or of the absolute coefficients), shape (n_features,).

        NaN in a layer that has no importances; 0 for a feature that was not selected.
        """
        stack = self.base if isinstance(self.base, Stack) else None
        columns = self.preparation.columns
        n = len(self.bounds.low)
        found = {}
        for name, base in (stack.bases if stack else {self.name: self.base}).items():
            own = layers.importance(base, n if columns is None else len(columns))
            found[name] = own if columns is None else np.bincount(columns, own, n).astype(np.float64, copy=False)
        return found

    def _prediction(self, predicted: NDArray[Any], category: NDArray[np.int64], size: Float32) -> Prediction:
        if self.class_means is None:
            return Prediction(np.zeros((len(predicted), 0), np.float32), predicted[:, 0].astype(np.float32))
        probabilities = _tempered(predicted, self.temperature).astype(np.float32)
        return Prediction(probabilities, (probabilities * self.class_means.of_events(category, size)).sum(axis=1))


def _tempered(probabilities: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    logits = np.log(np.clip(probabilities, SMALLEST, 1.0)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit(name: str, train: Sample, *, n_classes: int, learning: Learning, start: Start | None = None) -> FittedModel:
    """Fit preprocessing, base model or stack, calibration and class means, all on `train`.

    n_classes : 0 for a regression, which has neither calibration nor class means. start : an earlier model from which
    the base model goes on, on the events that ended since; bounds, class means and prior are of all of `train`.

    One temperature is chosen on the newest part of `train`, with a first model fitted on what ended before it (Guo et
    al. 2017, doi:10.48550/arXiv.1706.04599). The model kept is then fitted on all of `train`. The computation uses
    one core.

    Raises BadData where a class has no training event, or where no base model of a stack can be fitted.
    """
    from threadpoolctl import threadpool_limits

    since = warm.since(train, start, n_classes=n_classes, learning=learning)
    start = start if len(since) < len(train.label) else None
    whole, train = train, decayed(train, learning.half_life_days)  # a stack decays weights in each of its windows
    with threadpool_limits(1):  # sums of matrix products would depend on the number of threads
        if not n_classes:
            return FittedModel(name, *_base(name, whole, since, n_classes, learning, start))
        inner = calibration_split(whole.events[since], learning.calibration_share)
        known, unseen_rows = (since[rows] for rows in inner)
        earlier = np.flatnonzero((whole.events["t1_due"] < whole.events["t0"][int(unseen_rows[0])]).to_numpy())
        _refuse_absent(whole.label[known], n_classes, "the part before calibration")
        _refuse_absent(train.label, n_classes, "the training window")
        before, later = whole.rows(earlier), whole.rows(unseen_rows)
        second = decayed(later, learning.half_life_days)
        preparation, trial = _base(name, before, np.searchsorted(earlier, known), n_classes, learning, start)
        unseen = layers.predict(trial, preparation.apply(second.x), CLASSIFICATION)
        temperature = _temperature(unseen, second)
        means = ClassMeans.of(decayed(before, learning.half_life_days), n_classes)
        first = FittedModel(name, preparation, trial, temperature, means)
        frequency = np.bincount(train.label, weights=train.weight, minlength=n_classes)
        return FittedModel(
            name,
            *_base(name, whole, since, n_classes, learning, start),
            temperature,
            ClassMeans.of(train, n_classes),
            (frequency / frequency.sum()).astype(np.float32),
            _threshold(_tempered(unseen, temperature)[:, -1], second),
            Unseen(unseen_rows, first.predict(later.x, later.category, later.size)),
        )


def _base(
    name: str, train: Sample, since: Rows, n_classes: int, learning: Learning, start: Start | None
) -> tuple[Preparation, Any]:
    """The preparation of all of `train`, and the base model fitted on its rows `since`: all, or those after a start."""
    kind, preparation = layers.kind_of(n_classes), Preparation.of(train, learning)
    if name == layers.STACK:
        return preparation, stacking.fit(train, preparation, kind=kind, n_classes=n_classes, learning=learning)
    model, new = layers.make(name, kind, learning), train if start is None else train.rows(since)
    beside = {} if start is None else warm.go_on(model, start, new=len(since), whole=len(train.label))
    known = decayed(new, learning.half_life_days)
    return preparation, layers.fit(model, preparation.apply(known.x), known.label, known.weight, **beside)


def calibration_split(events: pl.DataFrame, share: float) -> tuple[Rows, Rows]:
    """Rows of the events that ended before the newest `share` began, and rows of that newest share."""
    start = events["t0"][int(len(events) * (1.0 - share))]
    second = np.flatnonzero((events["t0"] >= start).to_numpy())
    first = np.flatnonzero((events["t1_due"] < start).to_numpy())
    if not len(first):
        raise BadData(
            f"training events must end before the calibration part starts ({start:%Y-%m-%d}), but none does. "
            "Use longer windows."
        )
    return first, second


def _refuse_absent(label: NDArray[np.int64], n_classes: int, what: str) -> None:
    absent = sorted(set(range(n_classes)) - set(label.tolist()))
    if absent:
        raise BadData(
            f"{what} must hold events of every class, but has none of class {absent}. "
            "Use longer windows or other edges."
        )


def _temperature(probabilities: NDArray[Any], s: Sample) -> float:
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        chosen = _tempered(probabilities, float(np.exp(log_temperature)))[np.arange(len(s.label)), s.label]
        return float(-np.average(np.log(chosen), weights=s.weight))

    return float(np.float32(np.exp(minimize_scalar(loss, bounds=(-1.5, 2.5), method="bounded").x)))


def _threshold(probability: NDArray[Any], s: Sample) -> float:
    """The probability threshold with the largest weighted sum of outcomes; 1 where not trading at all was best."""
    order = np.argsort(-probability, kind="stable")
    last_of_ties = np.append(np.diff(probability[order]) != 0, True)  # equal probabilities trade together or not at all
    earned = np.where(last_of_ties, np.cumsum((s.weight * s.outcome)[order]), -np.inf)
    best = int(np.argmax(earned))
    return float(np.float32(probability[order[best]])) if earned[best] > 0 else 1.0
