"""Tables whose columns are those of several symbols, as one row a symbol and session."""

from collections.abc import Mapping

import polars as pl

from bq.market.columns import EMPTY
from bq.market.tables import ROW


def unfolded(frame: pl.DataFrame, *, date: str, columns: Mapping[str, tuple[str, str]]) -> tuple[pl.LazyFrame, int]:
    """One row for each symbol and row of the file in which it has a value, and how many have none.

    frame : with `row`. date : its column of dates. columns : `{column: (symbol, what it holds)}`.
    Returns columns `date, symbol, ROW` and what the columns hold, symbol by symbol.
    """
    held: dict[str, dict[str, str]] = {}
    for column, (symbol, field) in columns.items():
        held.setdefault(symbol, {})[field] = column
    fields = list(dict.fromkeys(field for _, field in columns.values()))
    parts = []
    for symbol, by_field in held.items():
        values = [
            (pl.col(by_field[name]) if name in by_field else pl.lit(None, dtype=pl.String)).alias(name)
            for name in fields
        ]
        some = pl.any_horizontal(_given(frame.schema[column], column) for column in by_field.values())
        part = frame.filter(some).select(pl.col(date).alias("date"), pl.col("row").alias(ROW), *values)
        parts.append(part.with_columns(symbol=pl.lit(symbol)))
    rows = pl.concat(parts, how="vertical_relaxed")
    return rows.lazy(), len(frame) * len(held) - len(rows)


def _given(dtype: pl.DataType, column: str) -> pl.Expr:
    if dtype == pl.String:
        return ~pl.col(column).str.strip_chars().str.to_lowercase().is_in([*EMPTY, "nan"]).fill_null(True)
    return pl.col(column).is_not_nan().fill_null(False) if dtype.is_float() else pl.col(column).is_not_null()
