"""What a model earns by how much it must expect, beside the rule score at the same number of trades."""

from collections.abc import Callable

import numpy as np
import polars as pl

from bq.core.settings import Policy
from bq.stats.blocks import Blocks
from bq.strategies import policy
from bq.strategies.policy import ABOVE, EXPECTED, FROM, SCORE

SHARES = (1.0, 0.75, 0.5, 0.25, 0.1)  # of the best k of each session that are traded


def by_threshold(predictions: pl.DataFrame, own: Policy, blocks: Callable[[pl.Series], Blocks]) -> pl.DataFrame:
    """Trades and what they earned a session, by threshold of the expected outcome, lowest first.

    predictions : of one model out of sample. blocks : of the sessions of a series, how it is resampled.

    Returns above (null: no threshold), policy (whether it is the policy's own), trades, value, low, high, and the same
    of the rule score: rule_trades, rule_value, rule_low, rule_high.

    The row of the policy is what the gate judges. The others are chosen and compared after the fact: their thresholds
    are quantiles of these predictions, and the rule's is set to make as many trades on them. The best of them is no
    evidence for another threshold.
    """
    free = predictions.with_columns(pl.lit(None, pl.Float64).alias(name) for name in (ABOVE, FROM))
    best = free.filter(policy.traded(free, EXPECTED, own.k))[EXPECTED].cast(pl.Float64)
    if best.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    levels = [None if share == 1.0 else _quantile(best, 1.0 - share) for share in SHARES]
    rows = [_row(_with_rule(free, level, own), level, False, own, blocks) for level in dict.fromkeys(levels)]
    rows.append(_row(predictions, own.above, True, own, blocks))
    return pl.DataFrame(rows, schema=SCHEMA).sort("above", "policy", nulls_last=False)


NUMBERS = ("value", "low", "high")
SCHEMA = {
    "above": pl.Float64,
    "policy": pl.Boolean,
    "trades": pl.Int64,
    **dict.fromkeys(NUMBERS, pl.Float64),
    "rule_trades": pl.Int64,
    **dict.fromkeys((f"rule_{name}" for name in NUMBERS), pl.Float64),
}


def _quantile(values: pl.Series, share: float) -> float:
    """The value that this share of the values does not exceed."""
    return float(np.quantile(values.to_numpy(), share, method="inverted_cdf"))


def _with_rule(predictions: pl.DataFrame, above: float | None, own: Policy) -> pl.DataFrame:
    """The predictions with a threshold, and the rule score's at the same number of trades."""
    at = predictions.with_columns(pl.lit(above, pl.Float64).alias(ABOVE))
    return at.with_columns(pl.lit(policy.score_from(at, EXPECTED, own), pl.Float64).alias(FROM))


def _row(
    predictions: pl.DataFrame, above: float | None, chosen: bool, own: Policy, blocks: Callable[[pl.Series], Blocks]
) -> dict[str, object]:
    model, rule = (policy.earned(predictions, by, own.k) for by in (EXPECTED, SCORE))
    made = blocks(model["session"]).means(np.column_stack([model["value"], rule["value"]]))
    counts = [int(policy.traded(predictions, by, own.k).sum()) for by in (EXPECTED, SCORE)]
    found: dict[str, object] = {"above": above, "policy": chosen}
    for prefix, count, one in zip(("", "rule_"), counts, made, strict=True):
        found |= {f"{prefix}trades": count, f"{prefix}value": one.mean}
        found |= {f"{prefix}low": _known(one.low), f"{prefix}high": _known(one.high)}
    return found


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
