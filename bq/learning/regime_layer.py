"""How market regimes enter a stack: a model for each regime, or sample weights where no regime has enough events."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.settings import Stack
from bq.learning import layers
from bq.learning.layers import Kind

REGIMES = "regimes"  # name of the layer
PLAIN_WEIGHT = 0.5  # of a layer that `stack.regime_weights` does not name
Probabilities = NDArray[np.float32]  # (n_events, n_regimes)


def enough(p: Probabilities, sessions: pl.Series, settings: Stack, *, part: float = 1.0) -> NDArray[np.bool_]:
    """Whether each regime has enough events and dates for a model of its own, shape (n_regimes,).

    An event belongs to its most likely regime. part : share of a training window that these events are;
    the minimum is scaled by it, so that inner folds judge the same layers as the whole window has.
    """
    counts = (
        pl.DataFrame({"regime": p.argmax(axis=1), "session": sessions})
        .group_by("regime")
        .agg(events=pl.len(), dates=pl.col("session").n_unique())
    )
    least_events, least_dates = part * settings.min_regime_events, part * settings.min_regime_dates
    large = (pl.col("events") >= least_events) & (pl.col("dates") >= least_dates)
    return np.isin(np.arange(p.shape[1]), counts.filter(large)["regime"].to_numpy())


def sample_weights(p: Probabilities) -> NDArray[np.float32]:
    """Weights of events, mean 1: less where the regime is unsure (its stability), more where it is rare.

    An event weighs its largest probability over the square root of its regime's share.
    """
    regime = p.argmax(axis=1)
    share = np.bincount(regime, minlength=p.shape[1]) / len(p)
    weight = p.max(axis=1) / np.sqrt(share[regime])
    return (weight / weight.mean()).astype(np.float32)


def predict(experts: Sequence[Any], x: NDArray[np.float32], kind: Kind) -> NDArray[np.float64]:
    """Predictions of the regimes' models, weighted by the regime probabilities in the last columns of `x`."""
    predicted = {id(model): layers.predict(model, x, kind) for model in experts}
    p = x[:, -len(experts) :]
    return sum(p[:, [i]] * predicted[id(model)] for i, model in enumerate(experts))


def soft_weights(names: Sequence[str], settings: Stack, *, regimes: int, width: int) -> NDArray[np.float32]:
    """The settings' weight of each layer in each regime, shape (n_regimes, n_layers × width).

    A row of weights is stretched over the number of regimes; each column of a layer has the layer's weight.
    """
    places = np.linspace(0.0, 1.0, regimes)
    rows = [settings.regime_weights.get(name, [PLAIN_WEIGHT]) for name in names]
    table = [np.interp(places, np.linspace(0.0, 1.0, len(row)), row) for row in rows]
    return np.repeat(np.array(table, np.float32).T, width, axis=1)
