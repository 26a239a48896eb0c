"""Area under the ROC curve as a mean that a bootstrap over sessions can resample."""

import numpy as np
import polars as pl
from numpy.typing import NDArray


def auc_by_session(predictions: pl.DataFrame, *, by: str) -> pl.DataFrame:
    """session, auc: numbers whose mean over sessions is the AUC of column `by` for label 1 against 0.

    Each is the area plus the session's deviation from it, where every event counts by the share of events of the other
    label that it ranks correctly against (ties half): their mean varies as the area does. NaN with one label alone.
    DeLong, DeLong & Clarke-Pearson 1988, doi:10.2307/2531595.
    """
    deviation = _deviations(predictions[by].to_numpy(), predictions["label"].to_numpy() == 1)
    table = predictions.select("session", deviation=pl.Series(deviation[0]))
    sums = table.group_by("session").agg(pl.col("deviation").sum()).sort("session")
    return sums.select("session", auc=deviation[1] + pl.col("deviation") * len(sums))


def _deviations(predicted: NDArray, won: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Each event's deviation from its even share of the area (they add up to 0), and the area."""
    from scipy.stats import rankdata

    wins, losses = int(won.sum()), int((~won).sum())
    if not wins or not losses:
        return np.full(len(predicted), np.nan), np.nan
    rank = rankdata(predicted)
    right = np.empty(len(predicted))
    right[won] = (rank[won] - rankdata(predicted[won])) / losses
    right[~won] = 1.0 - (rank[~won] - rankdata(predicted[~won])) / wins
    area = float(right[won].mean())
    return (right - area) / np.where(won, wins, losses), area
