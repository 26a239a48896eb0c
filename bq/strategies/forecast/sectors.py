"""Which sector a name is of, and what the portfolio may hold of each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bq.strategies.forecast.settings import Portfolio

Array = NDArray[np.float64]
NAMED = 5  # names that a sentence holds


def of(rows: pl.DataFrame, p: "Portfolio") -> pl.Series:
    """Sector of each row (symbol, sector): that of the settings, else of the data; null where neither knows it."""
    known = pl.col("sector").cast(pl.String)
    own = pl.col("symbol").replace_strict(p.sectors, default=None, return_dtype=pl.String) if p.sectors else known
    return rows.select(sector=pl.coalesce(own, known))["sector"]


def limits(names: Sequence[str | None], p: "Portfolio") -> tuple[Array, Array]:
    """Membership of shape (n_sectors, n_names) and the limit of each: that of the settings, or equal weight's share.

    names : sector of each name of a portfolio; one without is in none.
    """
    found = sorted({sector for sector in names if sector})
    member = np.array([[sector == name for sector in names] for name in found], float).reshape(len(found), len(names))
    return member, np.maximum(p.max_sector, member.mean(axis=1)) if found else np.zeros(0)


def unlimited(rows: pl.DataFrame, p: "Portfolio") -> str:
    """Which names of `rows` (symbol, sector) no sector limit holds, in words; empty where all have a sector."""
    names = rows.select("symbol").with_columns(of(rows, p)).unique("symbol").sort("symbol")
    missing = names.filter(pl.col("sector").is_null())["symbol"]
    if len(missing) == len(names):
        return "no sector is known, so the sector limit is not applied"
    shown = ", ".join(missing.head(NAMED)) + (" …" if len(missing) > NAMED else "")
    if missing.is_empty():
        return ""
    return f"{len(missing)} of {len(names)} names have no known sector, so no sector limit holds them: {shown}"
