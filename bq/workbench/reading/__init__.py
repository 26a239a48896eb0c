"""What a figure or a table says, in one sentence: each function reads the very table that is drawn.

A table without data gives a sentence that says why there is nothing to read.
"""

from bq.workbench.phrases import (
    NO_EVENTS,
    NO_OUTCOMES,
    counted,
    interval,
    listed,
    signed,
)
from bq.workbench.reading.events import (
    classes,
    correlations,
    deciles,
    features,
    kinds,
    outcomes,
    rank_ics,
    refusals,
    years,
)
from bq.workbench.reading.predictions import (
    beside,
    calibration,
    confusion,
    growths,
    importances,
    rolling,
    second_tier,
    sums,
    thresholds,
)
from bq.workbench.reading.search import (
    best_quarter,
    search,
)
from bq.workbench.reading.stack import (
    fear_greed,
    layers,
    probabilities,
    regime_growths,
    regimes,
    shares_by_layer,
    weights,
)

__all__ = [
    "NO_EVENTS",
    "NO_OUTCOMES",
    "beside",
    "best_quarter",
    "calibration",
    "classes",
    "confusion",
    "correlations",
    "counted",
    "deciles",
    "fear_greed",
    "features",
    "growths",
    "importances",
    "interval",
    "kinds",
    "layers",
    "listed",
    "outcomes",
    "probabilities",
    "rank_ics",
    "refusals",
    "regime_growths",
    "regimes",
    "rolling",
    "search",
    "second_tier",
    "shares_by_layer",
    "signed",
    "sums",
    "thresholds",
    "weights",
    "years",
]
