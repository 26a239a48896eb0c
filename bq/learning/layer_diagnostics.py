"""Diagnostics of a model's layers: feature importances, stack weights, and the rank IC of each out of sample."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from bq.learning.model import FittedModel
from bq.learning.stacking import Stack
from bq.stats.blocks import Blocks
from bq.stats.rank_ic import rank_ic
from bq.strategies.events import FeatureSet


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
    """Weights of a stack's layers; each column adds up to 1.

    regimes : names of the regime columns. Returns layer, `average` (the weights without a meta-learner), and for each
    regime, as if it were certain, `<regime>: prior` from the settings and `<regime>: fitted`, the prior times the
    meta-learner's coefficient. Without regimes there is one column `fitted`. Null where the meta-learner has no
    coefficients. No row for a model that is not a stack.
    """
    if not isinstance(model.base, Stack):
        return pl.DataFrame(schema={"layer": pl.String, "average": pl.Float64})
    stack = model.base
    n = len(stack.names)
    table = np.ones((1, n)) if stack.table is None else stack.table[:, :: stack.table.shape[1] // n].astype(np.float64)
    prior = table / table.sum(axis=1, keepdims=True)
    fitted = _fitted(stack, prior)
    found = {"layer": stack.names, "average": stack.weights}
    if stack.table is None:
        return pl.DataFrame({**found, "fitted": fitted[0]}).with_columns(pl.selectors.float().fill_nan(None))
    for name, before, after in zip(regimes, prior, fitted, strict=True):
        found |= {f"{name}: prior": before, f"{name}: fitted": after}
    return pl.DataFrame(found).with_columns(pl.selectors.float().fill_nan(None))


def _fitted(stack: Stack, prior: np.ndarray) -> np.ndarray:
    """Weight of each layer in each regime, of the shape and sums of `prior`; NaN where not known."""
    if stack.meta is None:
        return np.tile(stack.weights, (len(prior), 1))
    if stack.coefficients is None:
        return np.full_like(prior, np.nan)
    found = prior * stack.coefficients
    return found / found.sum(axis=1, keepdims=True)


def layer_ic(layers: pl.DataFrame, oos: pl.DataFrame, *, blocks: Blocks) -> pl.DataFrame:
    """Out-of-sample rank IC of each layer of a stack, and by how much the stack's is higher.

    layers : of a `Training`. oos : the stack's own predictions. Returns layer, ic, low, high, stack_adds, adds_low,
    adds_high, sessions; intervals over sessions, all resampled together.
    """
    outcome = oos.select("event_id", "session", "outcome", "score")
    predicted = layers.join(outcome, on="event_id")
    names = [*predicted["layer"].unique(maintain_order=True), "rule score"]
    series = [rank_ic(predicted.filter(pl.col("layer") == name), by="expected") for name in names[:-1]]
    series.append(rank_ic(outcome, by="score"))
    wide = outcome.select("session").unique().sort("session")
    for name, ic in zip(names, series, strict=True):
        wide = wide.join(ic.rename({"ic": name}), on="session", how="left")
    values = wide.select(names).fill_null(np.nan).to_numpy()
    own, added = blocks.of_ic.means(values), blocks.of_ic.means(values[:, [names.index("stack")]] - values)
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


class Sides(NamedTuple):
    """Layers, their average and the rule score, sorted by how the stack's rank IC compares with theirs."""

    better: list[str]  # the stack is better than these: the lower bound of the difference is above 0
    worse: list[str]  # the upper bound of the difference is below 0
    inconclusive: list[str]  # the interval contains 0, or there is none


def sides(ic: pl.DataFrame) -> Sides:
    """The rows of `layer_ic` other than the stack's own, sorted into sides."""
    others = ic.filter(pl.col("layer") != "stack")
    better, worse = (pl.col("adds_low") > 0.0).fill_null(False), (pl.col("adds_high") < 0.0).fill_null(False)
    return Sides(*(others.filter(which)["layer"].to_list() for which in (better, worse, ~better & ~worse)))


def notices(ic: pl.DataFrame, weights: pl.DataFrame) -> list[str]:
    """Layers, or their average, that beat the stack beyond chance, and layers that the artefact gives no weight.

    ic : as from `layer_ic`. weights : of the artefact, as from `weights`.
    """
    parts = [name for name in sides(ic).worse if name != "rule score"]
    found = []
    if parts:
        rows = ic.filter(pl.col("layer").is_in(parts)).iter_rows(named=True)
        lost = ", ".join("{layer} {stack_adds:+.4f} [{adds_low:+.4f}, {adds_high:+.4f}]".format(**row) for row in rows)
        sessions = ic.filter(pl.col("layer") == "stack")["sessions"].item()
        found.append(
            f"the stack has a lower rank IC out of sample than some of its layers (stack − layer, {sessions} sessions)"
            f": {lost}"
        )
    fitted = pl.all_horizontal(pl.col("^.*fitted$").fill_null(1.0) == 0.0)
    dropped = weights.filter(fitted)["layer"].to_list() if len(weights) else []
    if dropped:
        found.append(f"the artefact's stack gives no weight to {', '.join(dropped)}; see the table of weights")
    return found


def layer_correlation(layers: pl.DataFrame) -> tuple[list[str], pl.DataFrame]:
    """Names of the layers, and the rank correlations of their predictions for the same events."""
    names = layers["layer"].unique(maintain_order=True).to_list()
    wide = layers.pivot("layer", index=["event_id", "fold"], values="expected").drop_nulls()
    return names, wide.select(pl.col(names).rank()).corr()
