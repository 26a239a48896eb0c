"""Where bars come from: data inside installed packages, and files that the user brings."""

from typing import NamedTuple

import polars as pl

from bq.core.settings import Market
from bq.market import calendars
from bq.market.bars import FINDINGS

LEFT_OUT = pl.Schema(
    {
        "file": pl.String(),
        "symbol": pl.String(),
        "not_asked": pl.UInt32(),  # rows of symbols that are not asked for
        "before_calendar": pl.UInt32(),  # of the others, those before the sessions of the calendar begin here
        "outside": pl.UInt32(),  # of the others, those outside market.start and market.end
    }
)


class Batch(NamedTuple):
    """What a source gives: `rows` asked for (`bars.ROWS`), `findings` (`bars.FINDINGS`), `left_out` (`LEFT_OUT`)."""

    rows: pl.DataFrame
    findings: pl.DataFrame
    left_out: pl.DataFrame = LEFT_OUT.to_frame()


def selected(rows: pl.LazyFrame, settings: Market) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that are asked for, and how many of each file and symbol are not, and why.

    rows : `bars.ROWS`. Rows without a session are kept: to be refused. Where symbols or dates are named, rows stream by
    twice: to collect and to count at once would bring a large file into memory.
    """
    session = pl.col("session")
    reasons = {"before_calendar": session < calendars.sessions(settings.calendar)["session"][0]}
    if settings.wanted is None and settings.start is None and settings.end is None:
        every = rows.collect(engine="streaming")
        if not every.select(reasons["before_calendar"].any()).item():
            return every, LEFT_OUT.to_frame()
        rows = every.lazy()
    if settings.wanted is not None:
        reasons = {"not_asked": ~pl.col("symbol").is_in(settings.wanted).fill_null(False), **reasons}
    if settings.start is not None:
        reasons["outside"] = session < settings.start
    if settings.end is not None:
        reasons["outside"] = reasons.get("outside", pl.lit(False)) | (session > settings.end)
    why = pl.coalesce(pl.when(holds).then(pl.lit(name)) for name, holds in reasons.items())
    marked = rows.with_columns(why=why)
    kept = marked.filter(pl.col("why").is_null()).drop("why")
    gone = marked.filter(pl.col("why").is_not_null()).group_by("file", "symbol", "why").len()
    wanted, counts = kept.collect(engine="streaming"), gone.collect(engine="streaming")
    return wanted, _by_reason(counts)


def _by_reason(counts: pl.DataFrame) -> pl.DataFrame:
    """`LEFT_OUT` from one row for each `file, symbol, why` and `len`."""
    names = LEFT_OUT.names()[2:]
    return (
        counts.group_by("file", "symbol")
        .agg(pl.col("len").filter(pl.col("why") == name).sum().alias(name) for name in names)
        .select(pl.col(name).cast(dtype) for name, dtype in LEFT_OUT.items())
        .sort("file", "symbol")
    )


def picked(rows: pl.DataFrame, settings: Market) -> Batch:
    """The batch of a source that reads all that it has, and finds nothing."""
    wanted, left_out = selected(rows.lazy(), settings)
    return Batch(wanted, FINDINGS.to_frame(), left_out)


def not_asked(file: str, symbol: str, rows: int) -> pl.DataFrame:
    """`LEFT_OUT` of a file that is about one symbol, which is not asked for."""
    values = {"file": file, "symbol": symbol, "not_asked": rows, "before_calendar": 0, "outside": 0}
    return pl.DataFrame([values], schema=LEFT_OUT)
