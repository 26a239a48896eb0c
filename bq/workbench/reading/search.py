"""What is said of the trials of a search."""

from collections.abc import Sequence

import polars as pl

from bq.core.numerals import significant
from bq.core.scalars import count
from bq.workbench.phrases import listed


def search(trials: pl.DataFrame, objective: str) -> str:
    """Of trials: the best, when it was found, and what the first half of the search had."""
    known = trials.filter(pl.col("state") == "feasible").sort("value", "number", descending=[True, False])
    if known.is_empty():
        return "No trial was feasible."
    best, half = known.row(0, named=True), count(trials["number"].max()) // 2
    early = known.filter(pl.col("number") <= half)["value"].max()
    found = f"the first half had found {significant(early, sign=True)}"
    before = "no trial of the first half was feasible" if early is None else found
    if best["number"] <= half:
        before = "the second half of the search found nothing better"
    return (
        f"The best {objective} is {significant(best['value'], sign=True)}, found by trial {best['number']} (of "
        f"{count(trials['number'].max()) + 1}, counted from 0); {before}."
    )


def best_quarter(trials: pl.DataFrame, names: Sequence[str]) -> str:
    """Of trials: which values the best quarter has, of those that were tried."""
    known = trials.filter(pl.col("state") == "feasible").sort("value", descending=True)
    if known.is_empty() or not names:
        return "No trial was feasible."
    top = known.head(max(len(known) // 4, 1))
    parts = [f"{name} {_span(top[name])} (tried: {_span(known[name])})" for name in names]
    return f"The best quarter of the feasible trials ({len(top)}) has {listed(parts)}."


def _span(values: pl.Series) -> str:
    if not values.dtype.is_numeric():
        return listed(values.unique().sort().to_list())
    low, high = values.min(), values.max()
    return significant(low, 4) if low == high else f"{significant(low, 4)} to {significant(high, 4)}"
