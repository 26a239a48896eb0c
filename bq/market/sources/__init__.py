"""Where bars come from: data inside installed packages, and files that the user brings."""

import polars as pl

from bq.core.settings import Market


def wanted(settings: Market) -> pl.Expr:
    """Whether a row belongs to the symbols and sessions asked for. Rows without a session are kept: to be refused."""
    conditions = [pl.lit(True)]
    if settings.symbols is not None:
        conditions.append(pl.col("symbol").is_in(settings.symbols))
    if settings.start is not None:
        conditions.append((pl.col("session") >= settings.start).fill_null(True))
    if settings.end is not None:
        conditions.append((pl.col("session") <= settings.end).fill_null(True))
    return pl.all_horizontal(conditions)
