"""Why a decision came out as it did: contributions of the features, and the nearest past events."""

import numpy as np
import polars as pl

from bq.serving.ready import Champion
from bq.strategies.contract import Strategy
from bq.strategies.events import FeatureSet

BACKGROUND = 60  # past events that stand for "not knowing" a feature


def contributions(
    model: Champion, event: pl.DataFrame, past: pl.DataFrame, strategy: Strategy, *, seed: int
) -> pl.DataFrame:
    """Shapley values of the expected outcome of one event against past events: feature, value, contribution.

    event : one row. past : events that had ended before it. The contributions and the past events' mean expected
    outcome, by the class means of this event's cell, add up to the event's. Lundberg & Lee 2017,
    doi:10.48550/arXiv.1705.07874, by `shap`'s permutation explainer over the deployed graph itself.
    """
    import shap

    features = model.features
    category, size = strategy.table.cells(event)

    def expected(x: np.ndarray) -> np.ndarray:
        rows = len(x)
        answer = model.session.predict(x.astype(np.float32), np.repeat(category, rows), np.repeat(size, rows))
        return answer.expected.astype(np.float64)

    background = features.matrix(past.sample(min(BACKGROUND, len(past)), seed=seed))
    explainer = shap.explainers.Permutation(expected, background, seed=seed)
    values = explainer(features.matrix(event), silent=True).values[0]
    table = pl.DataFrame({"feature": features.columns, "value": features.matrix(event)[0], "contribution": values})
    return table.sort(pl.col("contribution").abs(), descending=True)


def nearest(event: pl.DataFrame, past: pl.DataFrame, features: FeatureSet, *, count: int = 8) -> pl.DataFrame:
    """The past events most like this one: `past`'s rows with their distance, nearest first.

    Euclidean distance between ranks within `past` (each feature in [0, 1]); a missing value counts as the middle.
    """
    ordered = np.sort(features.matrix(past), axis=0)  # NaN last

    def ranks(x: np.ndarray) -> np.ndarray:
        known = np.isfinite(ordered).sum(axis=0)
        columns = [np.searchsorted(ordered[: known[j], j], x[:, j]) / max(known[j], 1) for j in range(x.shape[1])]
        return np.where(np.isfinite(x), np.column_stack(columns), 0.5)

    distance = np.sqrt(np.square(ranks(features.matrix(past)) - ranks(features.matrix(event))).mean(axis=1))
    return past.with_columns(distance=distance).sort("distance", "event_id").head(count)
