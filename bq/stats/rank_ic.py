"""Rank IC: how well a number orders the outcomes of a session."""

import numpy as np
import polars as pl

from bq.stats.blocks import Blocks
from bq.stats.bootstrap import Interval

SMALLEST_CROSS_SECTION = 5  # events of a session below which they are not compared with each other


def spearman(x: str, y: str = "outcome", *, least: int = SMALLEST_CROSS_SECTION) -> pl.Expr:
    """Spearman correlation of two columns within a group, ties by their mean rank (Float64).

    Over the rows where both are known (neither null nor NaN). Null, never 0 or NaN, where fewer than `least` rows are
    known or where a column does not vary.
    """
    a, b = (pl.col(name).cast(pl.Float64).fill_nan(None) for name in (x, y))
    pairs = (a.is_not_null() & b.is_not_null()).sum()
    return pl.when(pairs >= least).then(pl.corr(a, b, method="spearman")).fill_nan(None)


def rank_ic(predictions: pl.DataFrame, *, by: str) -> pl.DataFrame:
    """Spearman correlation of `by` with the outcome in each session of at least 5 known events.

    predictions : DataFrame with `session`, `outcome` and `by`. Returns session, ic, sorted; a session without a rank IC
    (see `spearman`) has no row.

    >>> rank_ic(pl.DataFrame({"session": [1] * 5, "p": [1, 2, 3, 4, 5], "outcome": [2, 1, 3, 4, 5]}), by="p").rows()
    [(1, 0.9)]
    """
    return predictions.group_by("session").agg(ic=spearman(by)).drop_nulls("ic").sort("session")


def mean_rank_ic(predictions: pl.DataFrame, *, by: str, blocks: Blocks) -> Interval:
    """Mean of `rank_ic` over sessions with its interval: the one that every figure of a rank IC has.

    blocks : of the predictions' sessions, by the rule of outcomes; rank ICs take longer ones. A session without a rank
    IC keeps its place in time and is left out of the means.
    """
    sessions = predictions.select("session").unique().sort("session")
    known = sessions.join(rank_ic(predictions, by=by), on="session", how="left").sort("session")
    return blocks.of_ic.mean(known["ic"].fill_null(np.nan).to_numpy())
