"""What became of the data: one line for each symbol of each file (`make check-data`), one for each rule (a report)."""

from typing import Any

import polars as pl

from bq.market import MarketData
from bq.market.chains import ChainData

ACTIONS = ("rejected", "quarantined", "repaired", "flagged")  # the gravest first
SHOWN = ("rejected", "quarantined", "dropped", "repaired", "flagged")  # those of quotes too
ROWS = ("read", "outside", "not_asked", "kept")  # numbers of rows
CASES = 3  # of a rule, shown with their file and row
LINES = 100  # of the table in a report


def summary(data: MarketData | ChainData) -> pl.DataFrame:
    """One row for each (file, symbol); `symbol` is null where the findings are about a whole file.

    data : from `bq.market.read`, which reports what `bq.market.load` refuses.

    Returns DataFrame with columns `file, symbol, read, outside, not_asked, kept` (rows: read, outside the dates, of
    symbols not asked for, kept), `rejected, quarantined, repaired, flagged` (numbers of findings), `first, last`
    (sessions kept) and `reasons` (a list: each rule, how often, and its first case). Sorted by file and symbol. The
    sum of `read` is all rows; those of a rejected file were not read.
    """
    by = ["file", "symbol"]
    by_rule = (
        data.findings.with_columns(case=_case(pl.format("row {}", "row"), pl.col("session")))
        .group_by(*by, "action", "rule", maintain_order=True)
        .agg(times=pl.len(), case=pl.col("case").first())
    )
    found = by_rule.group_by(by, maintain_order=True).agg(
        *(pl.col("times").filter(pl.col("action") == action).sum().alias(action) for action in ACTIONS),
        reasons=pl.format("{} ×{} ({})", "rule", "times", "case"),
    )
    return (
        data.counts.drop("quarantined")
        .join(found, on=by, how="full", coalesce=True, nulls_equal=True)
        .with_columns(pl.col(*ROWS, *ACTIONS).fill_null(0), pl.col("reasons").fill_null([]))
        .select(*by, *ROWS, *ACTIONS, "first", "last", "reasons")
        .sort(by)
    )


def gravest(lines: pl.DataFrame, count: int) -> pl.DataFrame:
    """At most `count` lines of a summary, in its order: those with the most rejected, then quarantined, and so on."""
    ranked = lines.with_row_index("place").sort(*ACTIONS, "place", descending=[*[True] * len(ACTIONS), False])
    return ranked.head(count).sort("place").drop("place")


def by_rule(data: MarketData | ChainData) -> pl.DataFrame:
    """One row for each action and rule: `action, rule, times, symbols, files, case` (its first), the gravest first."""
    rows = pl.col("rows").fill_null(1) if "rows" in data.findings.columns else pl.lit(1)
    found = data.findings.with_columns(
        pl.col("action").cast(pl.String),
        rows=rows,
        case=_case(pl.col("file"), pl.format("row {}", "row"), pl.col("session")),
    )
    return (
        found.group_by("action", "rule", maintain_order=True)
        .agg(
            times=pl.col("rows").sum(),
            symbols=pl.col("symbol").n_unique(),
            files=pl.col("file").n_unique(),
            case=pl.col("case").first(),
        )
        .sort(pl.col("action").cast(pl.Enum(SHOWN)), "times", "rule", descending=[False, True, False])
    )


def _case(*places: pl.Expr) -> pl.Expr:
    """Where a finding is (what is known of `places`), and its detail."""
    place = pl.concat_str(*(part.cast(pl.String) for part in places), separator=", ", ignore_nulls=True)
    return pl.when(place != "").then(pl.format("{}: {}", place, "detail")).otherwise("detail")


def table(data: MarketData) -> dict[str, Any]:
    """The findings as the record and the report of a run keep them: plain values, the gravest and most frequent first.

    Returns `read`, `outside`, `not_asked` and `kept` (rows of bars), `lines` (`action, symbol, rule, times, cases`: at
    most LINES of them, each with its first CASES as "file, row, session: why") and `more` (lines left out). Quotes are
    among the lines.
    """
    found = data.findings.with_columns(rows=pl.lit(1, pl.UInt32), action=pl.col("action").cast(pl.String))
    if data.chain_data:
        quotes = data.chain_data.findings.with_columns(pl.col("action").cast(pl.String), pl.col("rows").fill_null(1))
        found = pl.concat([found, quotes.select(found.columns)])
    cases = _case(pl.col("file"), pl.format("row {}", "row"), pl.col("session")).head(CASES)
    lines = (
        found.group_by("action", "symbol", "rule", maintain_order=True)
        .agg(times=pl.col("rows").sum(), cases=cases)
        .sort(pl.col("action").cast(pl.Enum(SHOWN)), "times", "symbol", "rule", descending=[False, True, False, False])
    )
    return {
        "read": data.counts["read"].sum(),
        "outside": data.counts["outside"].sum(),
        "not_asked": data.counts["not_asked"].sum(),
        "kept": data.counts["kept"].sum(),
        "lines": lines.head(LINES).to_dicts(),
        "more": max(len(lines) - LINES, 0),
    }
