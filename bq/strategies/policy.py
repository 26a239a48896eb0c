"""Which events are traded: of each session the best few that are beyond a threshold. One rule for all who choose.

The gate, the walk-forward's figures, an evaluation, the list of trades and a scan choose by `traded` alone, so that
what is judged is what is traded. The parameters are `policy` of the settings; the thresholds are columns of
predictions, since each fold of a walk-forward has its own, known before its first decision.
"""

import math
from typing import Final

import numpy as np
import polars as pl

from bq.core.settings import Policy

EXPECTED: Final = "expected"
SCORE: Final = "score"
ABOVE = "expected_above"  # column: the expected outcome must exceed it
FROM = "score_from"  # column: the rule score must reach it
PROBABILITY_FROM = "threshold"  # column: a probability must reach it


def traded(predictions: pl.DataFrame, by: str, k: int | None) -> pl.Series:
    """Whether each prediction is traded, a boolean of shape (n_predictions,).

    Of each session the `k` that rank highest by column `by` (None: all), as far as they are beyond their threshold: the
    expected outcome above `expected_above`, the rule score at or above `score_from`, a probability (`p_…`) at or above
    `threshold`. Predictions without that column, or with null in it, have no threshold. Ties are broken by event id, so
    that the choice does not depend on the order of rows. What `by` does not know is not traded.

    >>> day = pl.DataFrame({"session": [1, 1, 1], "event_id": ["a", "b", "c"], "expected": [0.3, 0.1, -0.2]})
    >>> traded(day, "expected", 2).to_list()
    [True, True, False]
    >>> traded(day.with_columns(expected_above=0.1), "expected", 2).to_list()
    [True, False, False]
    """
    column = {EXPECTED: ABOVE, SCORE: FROM}.get(by, PROBABILITY_FROM if by.startswith("p_") else "")
    least = pl.col(column).cast(pl.Float64) if column in predictions.columns else pl.lit(None, pl.Float64)
    value = pl.col(by).cast(pl.Float64).fill_nan(None)
    rows = predictions.select("session", "event_id", value=value, least=least).with_row_index("row")
    beyond = pl.col("value") > pl.col("least") if by == EXPECTED else pl.col("value") >= pl.col("least")
    best = rows.filter(pl.col("value").is_not_null() & (pl.col("least").is_null() | beyond)).sort(
        ["session", "value", "event_id"], descending=[False, True, False]
    )
    taken = (best if k is None else best.group_by("session", maintain_order=True).head(k))["row"]
    return pl.Series("traded", np.isin(np.arange(len(predictions)), taken.to_numpy()))


def as_many(predictions: pl.DataFrame, by: str, like: pl.Series) -> pl.Series:
    """Whether each prediction is traded, where of each session as many are as `like` says, the best by `by` instead.

    like : which are traded otherwise, as from `traded`. So another order of the same events is held against the first
    with the same number of trades. Ties and unknown values are as of `traded`.

    >>> day = pl.DataFrame({"session": [1, 1, 2], "event_id": ["a", "b", "c"], "other": [0.1, 0.3, 0.2]})
    >>> as_many(day, "other", pl.Series([True, False, False])).to_list()
    [False, True, False]
    """
    rows = predictions.select("session", "event_id", value=pl.col(by).cast(pl.Float64).fill_nan(None))
    rows = rows.with_columns(wanted=like).with_row_index("row").with_columns(pl.col("wanted").sum().over("session"))
    best = rows.filter(pl.col("value").is_not_null()).sort(
        ["session", "value", "event_id"], descending=[False, True, False]
    )
    place = pl.int_range(pl.len()).over("session")
    taken = best.filter(place < pl.col("wanted"))["row"]
    return pl.Series("traded", np.isin(np.arange(len(predictions)), taken.to_numpy()))


def chosen(predictions: pl.DataFrame, by: str, k: int | None) -> pl.DataFrame:
    """The predictions that are `traded`, sessions in order, best first, with `weight`: each its slot of the session.

    A session has as many slots of equal size as trades could be made in it: `k`, or all its events where they are
    fewer. A slot that nothing fills stays cash.
    """
    rows = predictions.with_columns(weight=1.0 / _slots(k), traded=traded(predictions, by, k)).filter("traded")
    return rows.drop("traded").sort(["session", by, "event_id"], descending=[False, True, False])


def earned(predictions: pl.DataFrame, by: str | None, k: int | None) -> pl.DataFrame:
    """What trading so earned, one row a session, sorted: session, value. By None: all events alike, without choosing.

    The sum of weight × outcome over what is `chosen`: 0 in a session in which nothing is traded.
    """
    if by is None:
        return predictions.group_by("session").agg(value=pl.col("outcome").mean()).sort("session")
    return earned_of(predictions, traded(predictions, by, k), k)


def earned_of(predictions: pl.DataFrame, taken: pl.Series, k: int | None) -> pl.DataFrame:
    """`earned` of the predictions that are `taken`."""
    held = pl.when(taken).then(1.0 / _slots(k)).otherwise(0.0)
    rows = predictions.select("session", "event_id", value=held * pl.col("outcome")).sort("session", "event_id")
    return rows.group_by("session", maintain_order=True).agg(pl.col("value").sum())


def _slots(k: int | None) -> pl.Expr:
    events = pl.len().over("session")
    return events if k is None else pl.min_horizontal(events, pl.lit(k, pl.UInt32))


def score_from(known: pl.DataFrame, by: str, policy: Policy) -> float | None:
    """The rule score from which the rule trades about as often as a model did: nearest to the same number of trades.

    known : events that the model had not seen, of its training window: session, event_id, score, `by` and the threshold
    of `by`. Both trade at most `policy.k` a session. None where no score is known.

    Nothing is above the threshold where the model did not trade: it lies just above the highest score.
    """
    wanted = int(traded(known, by, policy.k).sum())
    free = known.drop(FROM, strict=False)
    scores = free.filter(traded(free, SCORE, policy.k))[SCORE].cast(pl.Float64).to_numpy()
    if not len(scores):
        return None
    values, counts = np.unique(scores, return_counts=True)
    candidates = np.append(math.nextafter(values[-1], math.inf), values[::-1])
    trades = np.append(0, np.cumsum(counts[::-1]))
    return float(candidates[np.argmin(np.abs(trades - wanted))])


def name(policy: Policy, of: str) -> str:
    """What `earned` is, for people; of : an outcome.

    >>> name(Policy(k=5), "net ROI"), name(Policy(), "net R")
    ('net ROI of at most 5 trades a session', 'net R of the trades of a session')
    """
    return f"{of} of the trades of a session" if policy.k is None else f"{of} of at most {policy.k} trades a session"
