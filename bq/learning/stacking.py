"""A stack: a meta-learner is fitted on out-of-fold predictions of several base models, weighted by regime.

Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1. The meta-learner never sees an in-sample prediction: its inputs are
predictions of later events by models fitted on earlier ones, from a purged walk-forward inside the training window.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.core.errors import BadData, reason
from bq.core.settings import Learning
from bq.learning import layers, regime_layer
from bq.learning.layers import CLASSIFICATION, REGRESSION, Kind
from bq.learning.regime_layer import REGIMES
from bq.learning.sample import Preparation, Sample, count_regimes
from bq.learning.stack_layers import Builder, Columns, Note, OutOfFold, failures, layer_predictions

LEAST_WEIGHT = np.float32(1e-6)  # keeps weights defined where all regime probabilities are 0
SMALLEST = 1e-7  # probabilities below it are raised to it before the logarithm


class Stack(NamedTuple):
    """A fitted stack; like a scikit-learn estimator it predicts rows of prepared features."""

    kind: Kind
    bases: dict[str, Any]  # base models by name, in order
    experts: tuple[Any, ...]  # the model of each regime; empty: none
    centre: NDArray[np.float32]  # (n_layers × width,), subtracted from predictions before weighting; 0 for classes
    table: NDArray[np.float32] | None  # (n_regimes, n_layers × width) soft weights; None: no regimes, all 1
    meta: Any | None  # None: predictions are averaged by `weights`
    weights: NDArray[np.float64]  # (n_layers,), sum 1: the best ones out of fold, or equal ones
    notes: tuple[Note, ...]

    @property
    def names(self) -> list[str]:
        """Names of the layers, in order."""
        return [*self.bases, *([REGIMES] if self.experts else [])]

    @property
    def coefficients(self) -> NDArray[np.float64] | None:
        """Coefficient of the meta-learner for each layer's weighted prediction, shape (n_layers,).

        For classes the mean of the absolute coefficients; None where the meta-learner has none.
        """
        steps = getattr(self.meta, "steps", None)
        if steps is None:
            return None
        (_, scaler), (_, last) = steps
        found = np.abs(np.atleast_2d(last.coef_) / (1.0 if scaler.scale_ is None else scaler.scale_))
        return found[:, : len(self.centre)].reshape(len(found), len(self.weights), -1).mean(axis=(0, 2))

    def columns(self, x: NDArray[np.float32]) -> Columns:
        """Prediction of each layer."""
        return layer_predictions(self.bases, self.experts, x, self.kind)

    def average(self, columns: Columns) -> NDArray[np.float64]:
        """The layers' predictions averaged by `weights`."""
        return sum(weight * part for weight, part in zip(self.weights, columns.values(), strict=True))

    def inputs(self, columns: Columns, x: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """Inputs of the meta-learner: the layers' predictions (log-probabilities for classes) times their weights by
        regime, and the regime probabilities."""
        predicted: NDArray[np.floating[Any]] = np.hstack(list(columns.values()))
        if self.kind == CLASSIFICATION:
            predicted = np.log(np.clip(predicted, SMALLEST, 1.0))
        predicted = predicted.astype(np.float32) - self.centre
        if self.table is None:
            return predicted
        p = x[:, -len(self.table) :]
        weight = p @ self.table + LEAST_WEIGHT
        return np.hstack([predicted * (weight / weight.sum(axis=1, keepdims=True)), p])

    def combine(self, columns: Columns, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """The stack's prediction from those of its layers."""
        if self.meta is None:
            return self.average(columns)
        return layers.predict(self.meta, self.inputs(columns, x), self.kind)

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Predicted target of each row, for a regression."""
        return self.combine(self.columns(x), x)[:, 0]

    def predict_proba(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Class probabilities of each row."""
        return self.combine(self.columns(x), x)


def fit(train: Sample, preparation: Preparation, *, kind: Kind, n_classes: int, learning: Learning) -> Stack:
    """Fit base models, models of regimes and the meta-learner on `train`.

    preparation : of `train`; inner folds fit their own. Raises BadData where no base model could be fitted.
    """
    build = Builder(kind, n_classes, learning)
    mode, notes = build.mode(train, preparation)
    window = build.window(train, preparation, learning.stack.models, mode)
    inner, more = build.out_of_fold(train, list(window.bases), mode)
    bases = {name: model for name, model in window.bases.items() if inner is None or name in inner.columns}
    experts = window.experts if inner is None or REGIMES in inner.columns else ()
    notes = [*notes, *window.notes, *more]
    if not bases:
        reasons = "; ".join(f"{note.layer}: {note.why}" for note in notes if note.what == "left out")
        raise BadData(
            f"at least one base model of the stack must be fitted, but none could be ({reasons}). Use longer windows "
            "or other stack.models."
        )
    names = [*bases, *([REGIMES] if experts else [])]
    regimes, width = count_regimes(learning), n_classes or 1
    stack = Stack(
        kind=kind,
        bases=bases,
        experts=experts,
        centre=np.zeros(len(names) * width, np.float32),
        table=regime_layer.soft_weights(names, learning.stack, regimes=regimes, width=width) if regimes else None,
        meta=None,
        weights=np.full(len(names), 1.0 / len(names)),
        notes=(),
    )
    if inner is None:
        return stack._replace(
            notes=(
                *notes,
                Note("meta", "equal weights", "there are no out-of-fold predictions to fit it on"),
            )
        )
    inner = inner._replace(columns={name: inner.columns[name] for name in names})
    stack, note = _combined(stack, inner.decayed(learning.half_life_days), learning)
    return stack._replace(notes=(*notes, *_dropped(stack), note))


def _dropped(stack: Stack) -> list[Note]:
    """Layers that have no weight in the stack's prediction."""
    shares = stack.weights if stack.meta is None else stack.coefficients
    shares = np.ones(len(stack.weights)) if shares is None else shares
    by = "the average" if stack.meta is None else "the meta-learner"
    return [
        Note(name, "weight 0", f"{by} gives it no weight, judged by its out-of-fold predictions")
        for name, share in zip(stack.names, shares, strict=True)
        if share == 0.0
    ]


def _combined(stack: Stack, inner: OutOfFold, learning: Learning) -> tuple[Stack, Note]:
    """The stack with weights and, where one can be fitted, a meta-learner, both from out-of-fold predictions."""
    settings, own = learning.stack, inner.sample
    if settings.meta == "weights" or settings.fallback == "performance":
        stack = stack._replace(weights=best_weights(list(inner.columns.values()), own, stack.kind))
    if stack.kind == REGRESSION:
        predicted = np.hstack(list(inner.columns.values()))
        stack = stack._replace(centre=np.average(predicted, axis=0, weights=own.weight).astype(np.float32))
    if settings.meta == "weights":
        return stack, Note("meta", "performance weights", "stack.meta is `weights`")
    left = len(stack.bases)
    if left < settings.min_base_models:
        why = f"{left} base models could be fitted, fewer than stack.min_base_models ({settings.min_base_models})"
        return stack, Note("meta", f"{settings.fallback} weights", why)
    try:
        meta = _meta(stack, inner, learning)
    except failures() as error:
        return stack, Note("meta", f"{settings.fallback} weights", reason(error))
    return stack._replace(meta=meta), Note("meta", settings.meta, f"fitted on {len(own.label)} out-of-fold events")


def _meta(stack: Stack, inner: OutOfFold, learning: Learning) -> Any:
    """The fitted meta-learner. Raises ValueError where it predicts the same for every event, or weighs no layer."""
    inputs, n = stack.inputs(inner.columns, inner.regimes), len(stack.weights)
    model = layers.make_meta(stack.kind, learning, layers=n, width=len(stack.centre) // n)
    layers.fit(model, inputs, inner.sample.label, inner.sample.weight)
    if not np.ptp(layers.predict(model, inputs, stack.kind), axis=0).any():
        raise ValueError("it predicts the same for every event")
    found = stack._replace(meta=model).coefficients
    if found is not None and not found.any():
        raise ValueError("it gives no layer any weight")
    return model


def best_weights(columns: list[NDArray[np.float64]], events: Sample, kind: Kind) -> NDArray[np.float64]:
    """Weights >= 0 with sum 1 of the best average of the layers: by least squares, or by likelihood for classes.

    Non-negative least squares on centred predictions; expectation-maximisation of the mixture (Dempster et al. 1977).
    """
    n, share = len(columns), events.weight / events.weight.sum(dtype=np.float64)
    if kind == REGRESSION:
        from scipy.optimize import nnls

        both = np.column_stack([*columns, events.label])
        both = (both - share @ both) * np.sqrt(share)[:, None]
        found, _ = nnls(both[:, :n], both[:, n])
        return found / found.sum() if found.any() else np.full(n, 1.0 / n)
    predicted = np.column_stack([part[np.arange(len(part)), events.label] for part in columns]) + SMALLEST
    weights = np.full(n, 1.0 / n)
    for _ in range(200):
        mixed = predicted * weights
        weights = share @ (mixed / mixed.sum(axis=1, keepdims=True))
    return weights
