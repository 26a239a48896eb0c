"""What `make check-data` shows: one line for each symbol of each file, with what was found and why."""

import polars as pl

from bq.market import MarketData

ACTIONS = ("rejected", "quarantined", "repaired", "flagged")


def summary(data: MarketData) -> pl.DataFrame:
    """One row for each (file, symbol); `symbol` is null where the findings are about a whole file.

    data : from `bq.market.read`, which reports what `bq.market.load` refuses.

    Returns DataFrame with columns `file, symbol, read, kept` (rows), `rejected, quarantined, repaired, flagged`
    (numbers of findings), `first, last` (sessions kept) and `reasons` (each rule, how often, and its first case).
    Sorted by file and symbol. The sum of `read` is all rows; those of a rejected file were not read.
    """
    by = ["file", "symbol"]
    place = pl.concat_str(
        pl.format("row {}", "row"), pl.col("session").cast(pl.String), separator=", ", ignore_nulls=True
    )
    case = pl.when(place != "").then(pl.format("{}: {}", place, "detail")).otherwise("detail")
    by_rule = (
        data.findings.with_columns(case=case)
        .group_by(*by, "action", "rule", maintain_order=True)
        .agg(times=pl.len(), case=pl.col("case").first())
    )
    found = by_rule.group_by(by, maintain_order=True).agg(
        *(pl.col("times").filter(pl.col("action") == action).sum().alias(action) for action in ACTIONS),
        reasons=pl.format("{} ×{} ({})", "rule", "times", "case").str.join("; "),
    )
    return (
        data.counts.join(found, on=by, how="full", coalesce=True, nulls_equal=True)
        .with_columns(pl.col("read", "kept", *ACTIONS).fill_null(0), pl.col("reasons").fill_null(""))
        .select(*by, "read", "kept", *ACTIONS, "first", "last", "reasons")
        .sort(by)
    )
