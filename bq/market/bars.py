"""The bar contract: one row per (symbol, session), sorted, and nothing in it that was invented."""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl

from bq.core.errors import BadData
from bq.market import splits

SCHEMA = pl.Schema(
    {
        "symbol": pl.String(),
        "session": pl.Date(),  # trading session in the exchange's calendar
        "open": pl.Float64(),  # open, high, low: null where the source has closes only
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),  # as quoted at the time, > 0
        "volume": pl.Float64(),  # shares as traded at the time; null where the source has none
        "adj": pl.Float64(),  # > 0; close × adj is continuous through splits and dividends; only ratios mean anything
        "iv": pl.Float64(),  # 30-day implied volatility as a decimal, where the market publishes it; else null
        "quoted": pl.Boolean(),  # false: the source has back-adjusted prices only, absolute levels mean nothing
    }
)
REQUIRED = ("symbol", "session", "close")
NUMBERS = tuple(name for name, dtype in SCHEMA.items() if dtype == pl.Float64)
ORIGIN = pl.Schema({"file": pl.String(), "row": pl.UInt32()})  # where a bar was read; row 1 is the first after a header
SECTOR = pl.Schema({"sector": pl.Categorical()})  # of the symbol; null where the source does not say; no part of a bar
ROWS = pl.Schema({**ORIGIN, **SCHEMA, **SECTOR})  # as read, before validation: any of their values may be wrong

FINDINGS = pl.Schema(
    {
        **ORIGIN,  # row is null where a finding is about a whole symbol or file
        "symbol": pl.String(),
        "session": pl.Date(),
        "rule": pl.String(),
        "action": pl.Enum(["rejected", "quarantined", "repaired", "flagged"]),
        "detail": pl.String(),
    }
)


class Rejected(BadData):
    """A file that cannot be used as a whole: the rule it breaks, why, and the first value that breaks it."""

    def __init__(self, rule: str, detail: str, value: object = None) -> None:
        super().__init__(detail)
        self.rule = rule
        self.detail = detail
        self.value = value


def continuous(name: str = "close") -> pl.Expr:
    """A price of bars made continuous through splits and dividends; only ratios of it mean anything."""
    return pl.col(name) * pl.col("adj")


def continuous_volume(bars: pl.DataFrame) -> pl.Series:
    """Volume of bars in the shares of the symbol's first one: a tenth of each bar's after ten-for-one.

    bars : sorted by symbol and session; only ratios of it mean anything. Dividends change no number of shares and leave
    it alone (see `splits.found`), so that continuous price × this is no turnover: that is close × volume.
    """
    volume, (rows, new) = bars["volume"].cast(pl.Float64), splits.found(bars)
    if not len(rows):
        return volume
    shares, ends = np.ones(len(bars)), bars["symbol"].rle().struct.field("len").cum_sum().to_numpy()
    for row, factor in zip(rows, new, strict=True):
        shares[row : ends[np.searchsorted(ends, row, side="right")]] *= factor
    return volume / pl.Series(shares)


def rows(frame: pl.DataFrame, *, file: str) -> pl.DataFrame:
    """Complete a frame whose columns already have the contract's types to `ROWS`.

    frame : DataFrame with at least `symbol, session, close`. Absent columns become null, except `adj` (1, no
    adjustment) and `quoted` (true). file : what findings name as the origin.
    """
    absent = [name for name in REQUIRED if name not in frame.columns]
    if absent:
        raise BadData(f"{file}: columns {', '.join(REQUIRED)} must be there, but {', '.join(absent)} is missing.")
    defaults = {"adj": 1.0, "quoted": True}
    return frame.with_columns(
        pl.lit(file).alias("file"),
        pl.int_range(1, pl.len() + 1).alias("row"),
        *(pl.lit(defaults.get(name)).alias(name) for name in (*SCHEMA, *SECTOR) if name not in frame.columns),
    ).select(pl.col(name).cast(dtype) for name, dtype in ROWS.items())


def findings(frame: pl.DataFrame, *, action: str, **texts: pl.Expr | str) -> pl.DataFrame:
    """One finding for each row of `frame`; `rule`, `detail` and others are columns of it or given as `texts`."""
    constants = {name: pl.lit(text) if isinstance(text, str) else text for name, text in texts.items()}
    frame = frame.with_columns(action=pl.lit(action), **constants)
    absent = [pl.lit(None).alias(name) for name in FINDINGS if name not in frame.columns]
    return frame.with_columns(absent).select(pl.col(name).cast(dtype) for name, dtype in FINDINGS.items())


def rejections(*found: pl.DataFrame) -> str:
    """What the findings `rejected` say, a line each, at most ten and how many more; empty where there is none."""
    parts = [frame.filter(pl.col("action") == "rejected").select("file", "detail").rows() for frame in found]
    reasons = [f"{file}: {detail}" for rows in parts for file, detail in rows]
    return "\n".join(reasons[:10] + ([f"… and {len(reasons) - 10} more"] if len(reasons) > 10 else []))


def folded(symbol: str) -> str:
    """A symbol as it is compared with others that may be the same: without case and the `^` of an index."""
    return symbol.lstrip("^").lower()


def sorted_by(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """The rows in the order of some columns, nulls first; those in it already are not copied."""
    after = pl.lit(True)
    for column in map(pl.col, reversed(key)):
        after = (column > column.shift()) | ((column == column.shift()) & after)
    in_order = rows.select(after.slice(1).fill_null(False).all()).item()
    return rows if in_order else rows.sort(*key, maintain_order=True)


def runs(names: pl.Series) -> dict[str, tuple[int, int]]:
    """Offset and length of the rows of each name in a sorted column: to look up many costs one pass over it.

    >>> runs(pl.Series(["A", "A", "B"]))
    {'A': (0, 2), 'B': (2, 1)}
    """
    found = names.rle().struct.unnest().select("value", offset=pl.col("len").cum_sum() - pl.col("len"), length="len")
    return {name: (offset, length) for name, offset, length in found.rows()}


def content_hash(bars: pl.DataFrame) -> str:
    """SHA-256 in hex of the content of bars, whatever the order of their rows.

    bars : DataFrame with the columns of `SCHEMA`, one row per (symbol, session).
    """
    bars = sorted_by(bars.select(SCHEMA.names()), ("symbol", "session"))
    counts = bars.group_by("symbol", maintain_order=True).len().rows()
    digest = hashlib.sha256(repr((SCHEMA.names(), counts)).encode())
    for name in SCHEMA.names()[1:]:
        column = bars[name].to_physical()
        values = column.fill_null(float("nan")) if column.dtype == pl.Float64 else column
        digest.update(values.to_numpy().tobytes())
    return digest.hexdigest()
