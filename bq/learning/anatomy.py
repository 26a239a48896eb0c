"""What a model is made of, and what each of its layers is worth out of sample."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from bq.learning.metrics import Blocks, rank_ic
from bq.learning.model import FittedModel
from bq.learning.stacking import Stack
from bq.strategies.contract import FeatureSet


def importances(model: FittedModel, features: FeatureSet) -> pl.DataFrame:
    """Share of each feature in each layer: layer, feature, share (of the gain, or of the absolute coefficients).

    Null in a layer that has no importances.
    """
    parts = [
        pl.DataFrame({"layer": name, "feature": features.columns, "share": pl.Series(share, dtype=pl.Float64)})
        for name, share in model.importance().items()
    ]
    return pl.concat(parts).with_columns(pl.col("share").fill_nan(None))


def weights(model: FittedModel, regimes: Sequence[str]) -> pl.DataFrame:
    """How a stack weighs its layers: layer, one column a regime, `out of fold` (the average that did best there).

    regimes : names of the regime columns. Without a row for a model that is no stack.
    """
    if not isinstance(model.base, Stack):
        return pl.DataFrame(schema={"layer": pl.String, "out of fold": pl.Float64})
    stack = model.base
    layers = [*stack.bases, *(["regimes"] if stack.experts else [])]
    by_regime = {}
    if stack.table is not None:
        width = stack.table.shape[1] // len(layers)
        shares = stack.table[:, ::width] / stack.table[:, ::width].sum(axis=1, keepdims=True)
        by_regime = {name: shares[i].astype(np.float64) for i, name in enumerate(regimes)}
    return pl.DataFrame({"layer": layers, **by_regime, "out of fold": stack.weights})


def layer_ic(layers: pl.DataFrame, oos: pl.DataFrame, *, blocks: Blocks) -> pl.DataFrame:
    """Rank IC of each layer of a stack out of sample, and what the stack adds to it.

    layers : of a `Training`. oos : the stack's own predictions. Returns layer, ic, low, high, stack_adds, adds_low,
    adds_high, sessions; intervals over sessions, all resampled together.
    """
    outcome = oos.select("event_id", "session", "outcome", "score")
    said = layers.join(outcome, on="event_id")
    names = [*said["layer"].unique(maintain_order=True), "rule score"]
    series = [rank_ic(said.filter(pl.col("layer") == name), by="expected") for name in names[:-1]]
    series.append(rank_ic(outcome, by="score"))
    wide = outcome.select("session").unique().sort("session")
    for name, ic in zip(names, series, strict=True):
        wide = wide.join(ic.rename({"ic": name}), on="session", how="left")
    values = wide.select(names).fill_null(np.nan).to_numpy()
    own, added = blocks.means(values), blocks.means(values[:, [names.index("stack")]] - values)
    rows = [
        {
            "layer": name,
            "ic": ic.mean,
            "low": ic.low,
            "high": ic.high,
            "stack_adds": more.mean,
            "adds_low": more.low,
            "adds_high": more.high,
            "sessions": ic.n,
        }
        for name, ic, more in zip(names, own, added, strict=True)
    ]
    return pl.DataFrame(rows).with_columns(pl.selectors.float().fill_nan(None))


def layer_correlation(layers: pl.DataFrame) -> tuple[list[str], pl.DataFrame]:
    """Names of the layers and the rank correlations of what they said of the same events."""
    names = layers["layer"].unique(maintain_order=True).to_list()
    wide = layers.pivot("layer", index=["event_id", "fold"], values="expected").drop_nulls()
    return names, wide.select(pl.col(names).rank()).corr()
