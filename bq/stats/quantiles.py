"""What a cross-section's quantiles earned, and how fast their members change.

Definitions are those of alphalens-reloaded 0.5.1, whose figures the tests hold.
"""

import polars as pl

QUANTILE = "quantile"


def ranked(predictions: pl.DataFrame, *, by: str, parts: int) -> pl.DataFrame:
    """Predictions with the column `quantile`, 1 (lowest) to `parts`, within each session; ties by their mean rank.

    predictions : session and `by`. Sessions with fewer rows than `parts`, and rows without `by`, are left out.
    """
    value = pl.col(by).cast(pl.Float64).fill_nan(None)
    known = predictions.filter(value.is_not_null()).filter(pl.len().over("session") >= parts)
    place = (value.rank("average") - 0.5) / pl.len()
    found = (place.over("session") * parts).floor().clip(0, parts - 1).cast(pl.Int64) + 1
    return known.with_columns(found.alias(QUANTILE))


def by_quantile(predictions: pl.DataFrame) -> pl.DataFrame:
    """Of `ranked` with `outcome`: quantile, mean (of all its events), events, sorted."""
    groups = predictions.drop_nulls("outcome").group_by(QUANTILE)
    return groups.agg(mean=pl.col("outcome").mean(), events=pl.len()).sort(QUANTILE)


def spread(predictions: pl.DataFrame, *, parts: int) -> pl.DataFrame:
    """Of `ranked` with `outcome`: mean outcome of the highest quantile less that of the lowest: session, value."""
    top, bottom = (pl.col("outcome").filter(pl.col(QUANTILE) == place).mean() for place in (parts, 1))
    return predictions.group_by("session").agg(value=top - bottom).sort("session")


def turnover(predictions: pl.DataFrame, *, quantile: int) -> pl.DataFrame:
    """Share of a quantile's symbols that were not in it the session before: session, value (the first is null)."""
    own = predictions.filter(pl.col(QUANTILE) == quantile).select("session", "symbol").unique()
    sessions = own.select("session").unique().sort("session").with_row_index("place")
    placed = own.join(sessions, on="session")
    before = placed.select("symbol", place=pl.col("place") + 1, kept=pl.lit(True))
    found = placed.join(before, on=["symbol", "place"], how="left").group_by("session", "place")
    share = found.agg(value=1.0 - pl.col("kept").is_not_null().mean()).sort("session")
    return share.select("session", value=pl.when(pl.col("place") > 0).then("value"))
