"""Rows that share a key with a neighbour: exact copies to drop, and what is left to contradict itself."""

from collections.abc import Sequence

import polars as pl


def shares_key(key: Sequence[str]) -> pl.Expr:
    """Whether a neighbour in sorted order has the same key."""
    as_previous = pl.all_horizontal((pl.col(name) == pl.col(name).shift()).fill_null(False) for name in key)
    as_next = pl.all_horizontal((pl.col(name) == pl.col(name).shift(-1)).fill_null(False) for name in key)
    return (as_previous | as_next).alias("shares_key")


def without_copies(
    ordered: pl.DataFrame, *, key: Sequence[str], columns: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows without exact duplicates in `columns`, of which the first read stays, and the duplicates that go.

    ordered : sorted by `key`.
    """
    ordered = ordered.with_row_index("position")
    same_key = ordered.filter(shares_key(key))
    copies = same_key.filter(~pl.struct(columns).is_first_distinct())
    rest = ordered.filter(~pl.col("position").is_in(copies["position"].implode())) if len(copies) else ordered
    return rest.drop("position"), copies
