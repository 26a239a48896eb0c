"""What decisions earned: building blocks of a strategy's `value`."""

import polars as pl


def chosen(predictions: pl.DataFrame, *, by: str, k: int) -> pl.DataFrame:
    """The `k` predictions of each session that rank highest by column `by`, sessions in order, best first.

    Ties are broken by event id, so that the choice does not depend on the order of rows. A missing `by` ranks last.
    """
    order = predictions.with_columns(pl.col(by).fill_nan(None)).sort(
        ["session", by, "event_id"], descending=[False, True, False], nulls_last=True
    )
    return order.group_by("session", maintain_order=True).head(k)


def top_k(predictions: pl.DataFrame, *, by: str, k: int) -> pl.DataFrame:
    """Mean outcome of what `chosen` takes: session, value."""
    return mean_of_all(chosen(predictions, by=by, k=k))


def mean_of_all(predictions: pl.DataFrame) -> pl.DataFrame:
    """Mean outcome of each session: session, value."""
    return predictions.group_by("session").agg(pl.col("outcome").mean().alias("value")).sort("session")
