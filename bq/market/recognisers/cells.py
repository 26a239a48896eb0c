"""What cells of vendors' files hold, as plain numbers."""

from collections.abc import Iterable

import polars as pl

from bq.market.tables import bare

SUFFIXES = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def by_bare(names: Iterable[str]) -> dict[str, str]:
    """`{bare name: file's name}`."""
    return {bare(name): name for name in names}


def money(name: str) -> pl.Expr:
    """`$1,234.50` as 1234.50."""
    return pl.col(name).str.strip_chars().str.replace_all(r"[$,]", "")


def counted(name: str) -> pl.Expr:
    """`40.44M` as 40440000; what carries no suffix stays as it is."""
    text = pl.col(name).str.strip_chars().str.replace_all(",", "", literal=True)
    parts = text.str.extract_groups(r"^(?<number>[\d.]+)(?<suffix>[KMBT])$")
    factor = parts.struct.field("suffix").replace_strict(SUFFIXES, default=None, return_dtype=pl.Float64)
    number = parts.struct.field("number").cast(pl.Float64, strict=False) * factor
    return pl.coalesce(number.cast(pl.String), text).alias(name)
