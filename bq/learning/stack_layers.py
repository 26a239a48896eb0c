"""The layers of a stack (base models, and one model per regime), fitted on a training window and on its inner folds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.core.errors import UNFIT, BadData, TemporalOverlap, reason
from bq.core.scalars import moment
from bq.core.settings import Learning
from bq.learning import layers, regime_layer, splits
from bq.learning.layers import CLASSIFICATION, Kind
from bq.learning.regime_layer import REGIMES
from bq.learning.sample import Preparation, Sample, count_regimes, decayed

PROBES = 256  # shuffled rows for which a fitted model must not always predict the same
Columns = dict[str, NDArray[np.float64]]  # of each layer, shape (n_events, width): 1, or the number of classes


class Note(NamedTuple):
    """What a model used or left out, and why."""

    layer: str
    what: str
    why: str


class Window(NamedTuple):
    """The layers fitted on one training window."""

    preparation: Preparation
    bases: dict[str, Any]
    experts: tuple[Any, ...]  # the model of each regime; empty: none
    notes: list[Note]


class OutOfFold(NamedTuple):
    """Predictions of the layers for events later than those they were fitted on."""

    sample: Sample  # those events
    columns: Columns
    regimes: NDArray[np.float32]  # (n_events, n_regimes)

    def decayed(self, half_life_days: float | None) -> "OutOfFold":
        """With weights halved for every half-life, and without the oldest events; see `bq.learning.sample.decayed`."""
        recent = decayed(self.sample, half_life_days)
        first = len(self.sample.label) - len(recent.label)  # rows are in time order
        return OutOfFold(recent, {name: column[first:] for name, column in self.columns.items()}, self.regimes[first:])


def layer_predictions(bases: Mapping[str, Any], experts: Sequence[Any], x: NDArray[np.float32], kind: Kind) -> Columns:
    """Prediction of each layer for rows of prepared features."""
    found = {name: layers.predict(model, x, kind) for name, model in bases.items()}
    if experts:
        found[REGIMES] = regime_layer.predict(experts, x, kind)
    return found


def failures() -> tuple[type[Exception], ...]:
    """Errors that a library raises for a model that cannot be fitted; the stack is then fitted without that model."""
    from lightgbm.basic import LightGBMError

    return (*UNFIT, LightGBMError)


class Builder(NamedTuple):
    """Fits the layers."""

    kind: Kind
    n_classes: int
    learning: Learning

    def mode(self, train: Sample, preparation: Preparation) -> tuple[str, list[Note]]:
        """How regimes enter: `models`, `weights` or `none`."""
        count, settings = count_regimes(self.learning), self.learning.stack
        if not count:
            return "none", [
                Note(REGIMES, "none", "the features hold no regime probabilities, so soft weights are equal")
            ]
        recent = decayed(train, self.learning.half_life_days)
        p = preparation.apply(recent.x)[:, -count:]
        modelled = settings.regime_model in settings.models
        if modelled and regime_layer.enough(p, recent.events["session"], settings).any():
            return "models", []
        if len(np.unique(p.argmax(axis=1))) < 2:
            return "none", [Note(REGIMES, "none", "all events fall into one regime")]
        why = f"no regime has {settings.min_regime_events} events and {settings.min_regime_dates} dates"
        return "weights", [
            Note(REGIMES, "sample weights", why if modelled else "stack.regime_model is not among stack.models")
        ]

    def window(
        self, train: Sample, preparation: Preparation, names: Sequence[str], mode: str, *, part: float = 1.0
    ) -> Window:
        """Fit the base models `names`, and with mode `models` one per regime; older events weigh less.

        part : share of the outer training window that `train` is.
        """
        train = decayed(train, self.learning.half_life_days)
        x, weight, notes = preparation.apply(train.x), train.weight, []
        if mode == "weights":
            weight = weight * regime_layer.sample_weights(x[:, -count_regimes(self.learning) :])
        bases = {}
        for name in names:
            try:
                bases[name] = self._base(name, x, train.label, weight)
            except failures() as error:
                notes.append(Note(name, "left out", reason(error)))
        general = bases.get(self.learning.stack.regime_model or "")
        if mode != "models" or general is None:
            return Window(preparation, bases, (), notes)
        found = self._experts(train, x, general, part)
        return Window(preparation, bases, tuple(model for model, _ in found), notes + [note for _, note in found])

    def _base(self, name: str, x: NDArray[np.float32], y: NDArray[Any], weight: NDArray[np.float32]) -> Any:
        """A fitted base model. Raises ValueError where its predictions would be of no use."""
        if self.kind == CLASSIFICATION and len(np.unique(y)) < self.n_classes:
            raise ValueError("its training events lack a class")
        model = layers.fit(layers.make(name, self.kind, self.learning), x, y, weight)
        probes = np.random.default_rng(0).permuted(x[:: max(len(x) // PROBES, 1)], axis=0)
        predicted = layers.predict(model, probes, self.kind)
        if not np.isfinite(predicted).all():
            raise ValueError("its predictions are not finite")
        if not np.ptp(predicted, axis=0).any():
            raise ValueError(f"it predicts {predicted.flat[0]:.3g} for every event")
        return model

    def _experts(self, train: Sample, x: NDArray[np.float32], general: Any, part: float) -> list[tuple[Any, Note]]:
        """The model of each regime, or the general model and why it is used instead."""
        settings = self.learning.stack
        name, p = str(settings.regime_model), x[:, -count_regimes(self.learning) :]
        found = []
        for regime, ready in enumerate(regime_layer.enough(p, train.events["session"], settings, part=part)):
            rows = np.flatnonzero(p.argmax(axis=1) == regime)
            model, what, why = general, f"the general {name}", f"{len(rows)} events, or their dates, are too few"
            if ready:
                try:
                    model = self._base(name, x[rows], train.label[rows], train.weight[rows])
                    what, why = f"its own {name}", f"{len(rows)} events"
                except failures() as error:
                    why = reason(error)
            found.append((model, Note(f"{REGIMES}: {regime + 1} of {p.shape[1]}", what, why)))
        return found

    def out_of_fold(self, train: Sample, names: Sequence[str], mode: str) -> tuple[OutOfFold | None, list[Note]]:
        """Predictions of later events of `train` by layers fitted on earlier ones; one that fails once is dropped."""
        settings, t0 = self.learning.stack, train.events["t0"]
        days = max(int((moment(t0.max()) - moment(t0.min())).days * settings.inner_share / settings.inner_folds), 1)
        inner = self.learning.model_copy(update={"folds": settings.inner_folds, "test_days": days})
        try:
            folds = splits.purged_walk_forward(train.events, inner)
        except (BadData, TemporalOverlap) as error:
            return None, [Note("meta", "no inner folds", str(error))]
        parts, notes = [], []
        for fold in folds:
            early, late = train.rows(fold.train), train.rows(fold.test)
            if self.kind == CLASSIFICATION and len(np.unique(early.label)) < self.n_classes:
                notes.append(Note("meta", f"inner fold {fold.number} skipped", "its training events lack a class"))
                continue
            part = len(early.label) / len(train.label)
            window = self.window(early, Preparation.of(early, self.learning), names, mode, part=part)
            failed = [note for note in window.notes if note.layer in names]
            notes += [note._replace(why=f"inner fold {fold.number}: {note.why}") for note in failed]
            names = list(window.bases)
            ready = window.preparation.apply(late.x)
            parts.append((fold.test, layer_predictions(window.bases, window.experts, ready, self.kind), ready))
        return (self._joined(train, parts), notes) if parts else (None, notes)

    def _joined(self, train: Sample, parts: list[tuple[NDArray[np.int64], Columns, NDArray[np.float32]]]) -> OutOfFold:
        """All inner folds together, for the layers that every fold has."""
        kept = [name for name in parts[0][1] if all(name in predicted for _, predicted, _ in parts)]
        count = count_regimes(self.learning)
        regimes = [ready[:, ready.shape[1] - count :] for *_, ready in parts]
        columns = {name: np.concatenate([predicted[name] for _, predicted, _ in parts]) for name in kept}
        return OutOfFold(train.rows(np.concatenate([rows for rows, *_ in parts])), columns, np.concatenate(regimes))
