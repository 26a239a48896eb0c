"""Training that goes on from an earlier model (`learning.warm_start`), on the events that ended since.

A new step adds as many trees as its events are a share of all, so that the model grows with the events it has seen.
ONNX, the one kind of model that is loaded, cannot be trained on: an earlier model is made again instead, step by step,
from the times at which its trainings ended. So nothing that was stored can differ from what was judged.
"""

import datetime as dt
from typing import Any, NamedTuple

import numpy as np

from bq.core.errors import BadParameters
from bq.core.settings import Learning
from bq.learning.sample import Rows, Sample
from bq.learning.splits import MIN_TRAINING_EVENTS

MODELS = ("lightgbm", "xgboost")


class Start(NamedTuple):
    """An earlier model from which a training goes on."""

    base: Any  # the fitted base model
    through: dt.datetime  # the latest end of an event that it was trained on


def check(learning: Learning) -> None:
    """Raise BadParameters where the settings cannot go on from an earlier model."""
    if not learning.warm_start:
        return
    if learning.model not in MODELS:
        raise BadParameters(
            f"`learning.warm_start` needs learning.model to be one of {', '.join(MODELS)}, but it is "
            f"{learning.model!r}: other models cannot go on from an earlier one."
        )
    if learning.select is not None:
        raise BadParameters(
            "`learning.warm_start` needs learning.select: null, but features are selected: an earlier model has "
            "learnt from others than a later one would."
        )


def since(train: Sample, start: Start | None, *, n_classes: int, learning: Learning) -> Rows:
    """The rows that a training learns from: the events that ended since the start; all of them without one.

    All, too, where those before the calibration part are too few or leave a class out: the training then begins anew.
    """
    everything = np.arange(len(train.label))
    if start is None:
        return everything
    t0, due = train.events["t0"], train.events["t1_due"]
    rows = np.flatnonzero((due > start.through).to_numpy())
    if not len(rows):
        return everything
    calibrated = t0[int(rows[int(len(rows) * (1.0 - learning.calibration_share))])]
    known = rows[(due.gather(rows) < calibrated).to_numpy()]
    enough = len(known) >= MIN_TRAINING_EVENTS and len(set(train.label[known].tolist())) >= n_classes
    return rows if enough else everything


def go_on(model: Any, start: Start, *, new: int, whole: int) -> dict[str, Any]:
    """Set an unfitted model to add trees for `new` of `whole` events; what its `fit` is given beside the events."""
    model.set_params(n_estimators=max(round(model.get_params()["n_estimators"] * new / whole), 1))
    earlier = start.base
    if hasattr(earlier, "booster_"):
        return {"init_model": earlier.booster_}
    model.set_params(seed_per_iteration=True)  # XGBoost seeds only a model that begins anew
    return {"xgb_model": earlier.get_booster()}
