"""Training support of a model, stored with it: each feature's range, and the bins that drift is measured on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bq.strategies.events import FeatureSet

BINS = 10
ALERT_ABOVE = 0.30  # share of rows outside the training support above which decisions are unreliable

Float32 = NDArray[np.float32]


def describe(features: FeatureSet, x: Float32) -> dict[str, dict[str, Any]]:
    """For each feature: low, high, inner edges of its quantile bins, rows in each bin, rows where it is missing.

    x : training features of shape (n_events, n_features), NaN where missing. Equal quantiles share a bin.
    """
    return {name: _describe(x[:, i]) for i, name in enumerate(features.columns)}


def _describe(column: Float32) -> dict[str, Any]:
    known = np.sort(column[np.isfinite(column)])
    missing = len(column) - len(known)
    if not len(known):
        return {"low": None, "high": None, "edges": [], "counts": [0], "missing": missing}
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS).astype(np.float32))
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return {
        "low": float(known[0]),
        "high": float(known[-1]),
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "missing": missing,
    }


def outside(reference: dict[str, dict[str, Any]], features: FeatureSet, x: Float32) -> NDArray[np.bool_]:
    """Whether each feature of each row lies outside its training support, shape as `x`; a missing value never does.

    reference : as from `describe`, in any order. A feature that training never saw is outside.
    """
    low, high = (
        np.array(
            [np.nan if reference[name][end] is None else reference[name][end] for name in features.columns], np.float32
        )
        for end in ("low", "high")
    )
    return ~np.isnan(x) & ~((x >= low) & (x <= high))
