"""A classifier from raw features to calibrated class probabilities and the expected outcome."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from bq.core.errors import BadData
from bq.learning import layers

SHRINKAGE = 50.0  # events' worth of weight that the pooled class means have in every cell
SMALLEST = 1e-7  # probabilities below it are raised to it before the logarithm
Float32 = NDArray[np.float32]


class Sample(NamedTuple):
    """What a model is trained on, row by row; see `sample` in walkforward."""

    x: Float32  # (n_events, n_features), NaN where missing
    label: NDArray[np.int64]
    outcome: NDArray[np.float64]
    weight: Float32
    category: NDArray[np.int64]  # structure, for instance: class means are kept apart by it
    size: Float32

    def rows(self, index: NDArray[np.int64]) -> "Sample":
        """The rows of `index`."""
        return Sample(*(part[index] for part in self))


class Prediction(NamedTuple):
    """Answer for each event."""

    probabilities: Float32  # (n_events, n_classes)
    expected: Float32  # (n_events,), the outcome's unit


class Bounds(NamedTuple):
    """Training bounds and medians of each feature, shape (n_features,)."""

    low: Float32
    high: Float32
    median: Float32

    @staticmethod
    def of(x: Float32) -> "Bounds":
        """Bounds of the finite values; 0 for a feature that is missing everywhere."""
        finite = np.where(np.isfinite(x), x, np.nan)
        empty = np.isnan(finite).all(axis=0)
        finite[:, empty] = 0.0
        parts = (np.nanmin(finite, axis=0), np.nanmax(finite, axis=0), np.nanmedian(finite, axis=0))
        return Bounds(*(part.astype(np.float32) for part in parts))

    def apply(self, x: Float32) -> Float32:
        """Clip to the bounds (infinities too), then put the median where a value is missing."""
        return np.where(np.isnan(x), self.median, np.clip(x, self.low, self.high))


class ClassMeans(NamedTuple):
    """Mean outcome of each class by cell (category × size tercile), shrunk to the pool, from training events only."""

    edges: Float32  # (n_categories + 1, 2) size terciles
    means: Float32  # ((n_categories + 1) * 3, n_classes); the last category stands for all that training did not have

    @staticmethod
    def of(s: Sample, n_classes: int) -> "ClassMeans":
        """Weighted means with `SHRINKAGE` events' worth of the pooled mean of the class."""
        n_categories = int(s.category.max()) + 2
        edges = np.zeros((n_categories, 2), np.float32)
        for category in np.unique(s.category):
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
    """Everything a decision needs; the same steps, in the same order, are exported to ONNX."""

    name: str  # of the base model
    bounds: Bounds
    base: Any
    temperature: float
    class_means: ClassMeans
    prior: Float32  # training class frequencies, shape (n_classes,): the baseline of log-loss
    threshold: float  # of the best class's probability: trading from it on earned most on the calibration part

    def predict(self, x: Float32, category: NDArray[np.int64], size: Float32) -> Prediction:
        """Probabilities and expected outcome of each row of features (float32, NaN where missing)."""
        raw = self.base.predict_proba(self.bounds.apply(x))
        probabilities = _tempered(raw, self.temperature).astype(np.float32)
        return Prediction(probabilities, (probabilities * self.class_means.of_events(category, size)).sum(axis=1))


def _tempered(probabilities: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    logits = np.log(np.clip(probabilities, SMALLEST, 1.0)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit(
    name: str, train: Sample, inner: tuple[NDArray[np.int64], NDArray[np.int64]], *, n_classes: int, seed: int
) -> FittedModel:
    """Fit preprocessing, base model, calibration and class means, all on `train`.

    inner : rows of `train` to fit and to calibrate a first model on, purged from each other; one temperature is chosen
    on the second (Guo et al. 2017, doi:10.48550/arXiv.1706.04599). The model kept is then fitted on all of `train`.

    Raises BadData where a class has no training event.
    """
    for rows, what in ((inner[0], "the part before calibration"), (np.arange(len(train.label)), "the training window")):
        absent = sorted(set(range(n_classes)) - set(train.label[rows].tolist()))
        if absent:
            raise BadData(
                f"{what} must hold events of every class, but has none of class {absent}; "
                "use longer windows or other edges."
            )
    first, second = train.rows(inner[0]), train.rows(inner[1])
    bounds = Bounds.of(first.x)
    trial = layers.fit(name, bounds.apply(first.x), first.label, first.weight, seed=seed)
    unseen = trial.predict_proba(bounds.apply(second.x))
    temperature = _temperature(unseen, second)
    threshold = _threshold(_tempered(unseen, temperature)[:, -1], second)
    bounds = Bounds.of(train.x)
    base = layers.fit(name, bounds.apply(train.x), train.label, train.weight, seed=seed)
    frequency = np.bincount(train.label, weights=train.weight, minlength=n_classes)
    prior = (frequency / frequency.sum()).astype(np.float32)
    return FittedModel(name, bounds, base, temperature, ClassMeans.of(train, n_classes), prior, threshold)


def _temperature(probabilities: NDArray[Any], s: Sample) -> float:
    def loss(log_temperature: float) -> float:
        chosen = _tempered(probabilities, float(np.exp(log_temperature)))[np.arange(len(s.label)), s.label]
        return float(-np.average(np.log(chosen), weights=s.weight))

    return float(np.float32(np.exp(minimize_scalar(loss, bounds=(-1.5, 2.5), method="bounded").x)))


def _threshold(probability: NDArray[Any], s: Sample) -> float:
    """The probability from which on the weighted sum of outcomes was largest; 1 where trading none was best."""
    order = np.argsort(-probability, kind="stable")
    last_of_ties = np.append(np.diff(probability[order]) != 0, True)  # equal probabilities trade together or not at all
    earned = np.where(last_of_ties, np.cumsum((s.weight * s.outcome)[order]), -np.inf)
    best = int(np.argmax(earned))
    return float(np.float32(probability[order[best]])) if earned[best] > 0 else 1.0
