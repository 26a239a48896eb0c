"""Accuracy by quarter: as estimated before outcomes are known, beside what came."""

import numpy as np
import polars as pl

from bq.monitoring import estimated
from bq.monitoring.estimated import Estimate
from bq.monitoring.observed import Observed
from bq.monitoring.reference import Reference
from bq.serving import bounds
from bq.stats.blocks import Blocks

QUARTERS = pl.Schema(
    {
        "period": pl.String,  # 2019 Q3
        "events": pl.Int64,  # decided, with probabilities
        "matured": pl.Int64,
        "realised": pl.Float64,  # accuracy of those; null of none
        "cbpe": pl.Float64,
        "cbpe_low": pl.Float64,  # null: the reference has too few blocks
        "cbpe_high": pl.Float64,
        "pape": pl.Float64,  # null without features of the decided events
        "pape_low": pl.Float64,
        "pape_high": pl.Float64,
        "effective": pl.Float64,  # size of the reference after weighting
    }
)
NEWEST = 8  # quarters
LEAST_EVENTS = 50  # of a quarter whose features are told apart from the reference's


def estimates(observed: Observed, features: pl.DataFrame | None = None) -> pl.DataFrame:
    """Estimated accuracy of the deployed model's decisions in the newest 8 quarters, open ones too.

    Returns QUARTERS, sorted.

    features : event_id and the model's features, of events that were decided; without them, or with fewer than 50 of a
    quarter, there is no PAPE. No row of a model without classes, or stored without a reference.
    """
    kept = observed.reference
    if kept is None or not kept.classes:
        return pl.DataFrame(schema=QUARTERS)
    index = {name: place for place, name in enumerate(kept.classes)}
    label = pl.col("label").replace_strict(index, default=None, return_dtype=pl.Int64)
    own = observed.counted.filter(
        pl.col("model_id") == kept.model_id,
        pl.col("probabilities").list.len() == len(kept.classes),
        ~pl.col("in_sample").fill_null(False),
    ).with_columns(label)
    before = kept.rows.filter(pl.col("probabilities").is_not_null()).with_columns(label).drop_nulls("label")
    if own.is_empty() or before.is_empty():
        return pl.DataFrame(schema=QUARTERS)
    blocks = bounds.blocks(before, observed.subject.settings)
    quarter = pl.format("{} Q{}", pl.col("session").dt.year(), pl.col("session").dt.quarter()).alias("period")
    parts = dict(sorted(own.with_columns(quarter).partition_by("period", as_dict=True).items())[-NEWEST:])
    plain = estimated.accuracies(list(parts.values()), before, blocks=blocks)
    rows = []
    for ((name,), part), found in zip(parts.items(), plain, strict=True):
        known = part.drop_nulls("label")
        hits = known["probabilities"].list.arg_max() == known["label"]
        row = {"period": name, "events": len(part), "matured": len(known), "realised": hits.mean()}
        weights = _weights(part, before, kept, features, blocks.seed)
        rows.append(row | _named("cbpe", found) | _weighted(part, before, blocks, weights))
    return pl.DataFrame(rows, schema=QUARTERS).with_columns(pl.col(pl.Float64).fill_nan(None)).sort("period")


def _weighted(part: pl.DataFrame, before: pl.DataFrame, blocks: Blocks, weights: np.ndarray | None) -> dict[str, float]:
    if weights is None:
        return {}
    found = estimated.accuracy(part, before, blocks=blocks, weights=weights)
    return _named("pape", found) | {"effective": found.effective}


def _weights(
    part: pl.DataFrame, before: pl.DataFrame, kept: Reference, features: pl.DataFrame | None, seed: int
) -> np.ndarray | None:
    """Weights of the reference's events that make them look like the quarter's, where their features are known."""
    if features is None or not set(kept.columns) <= set(features.columns):
        return None
    now = features.select("event_id", *kept.columns).join(part.select("event_id"), on="event_id", how="semi")
    if len(now) < LEAST_EVENTS:
        return None
    matrix = now.select(pl.col(name).cast(pl.Float32).fill_null(np.nan) for name in kept.columns).to_numpy()
    return estimated.density_ratio(kept.matrix(before), matrix, seed=seed)


def _named(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
