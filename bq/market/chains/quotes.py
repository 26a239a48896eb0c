"""The quote contract: one row per (underlying, session, contract), as quoted, with no vendor's model in it."""

import hashlib

import polars as pl

from bq.market.bars import ORIGIN

SCHEMA = pl.Schema(
    {
        "underlying": pl.String(),
        "root": pl.String(),  # SPX, SPXW, AAPL …; AAPL1 is a contract adjusted for a corporate action
        "session": pl.Date(),  # session of the quote; its time of day is not kept
        "expiry": pl.Date(),  # last session on or before the expiry date as listed
        "right": pl.Enum(["call", "put"]),
        "strike": pl.Float64(),
        "bid": pl.Float64(),  # 0 < bid <= ask
        "ask": pl.Float64(),
        "spot": pl.Float64(),  # the snapshot's own price of the underlying, not the session's close
        "style": pl.Enum(["european", "american"]),
        "settlement": pl.Enum(["AM", "PM"]),  # of the expiry's session: at its open, at its close
        "volume": pl.Float64(),  # null where the source has none
        "open_interest": pl.Float64(),  # null where the source has none
    }
)
CONTRACT = ("underlying", "root", "expiry", "right", "strike")
KEY = ("underlying", "session", "root", "expiry", "right", "strike")  # also the order of the rows
NUMBERS = tuple(name for name, dtype in SCHEMA.items() if dtype == pl.Float64)

# rows as read, before validation: any value may be wrong, style and settlement are null unless the file says them,
# and the vendor's implied volatility is there only to be judged
ROWS = pl.Schema({**ORIGIN, **SCHEMA, "vendor_iv": pl.Float64()})

FINDINGS = pl.Schema(
    {
        **ORIGIN,  # row: the first of the rows that a finding is about; null for a whole file
        "symbol": pl.String(),  # the underlying: named as in findings about bars, so that one page shows both
        "session": pl.Date(),
        "rule": pl.String(),
        "action": pl.Enum(["rejected", "quarantined", "dropped", "repaired", "flagged"]),
        "rows": pl.UInt32(),  # how many rows a finding is about: 1 where it is `quarantined` or a copy
        "detail": pl.String(),
    }
)


def findings(frame: pl.DataFrame, *, action: str, **texts: pl.Expr | str) -> pl.DataFrame:
    """One finding for each row of `frame`; `rule`, `detail` and others are columns of it or given as `texts`.

    `symbol` is the frame's `underlying` where it has one; `rows` is 1 unless the frame says otherwise.
    """
    constants = {name: pl.lit(text) if isinstance(text, str) else text for name, text in texts.items()}
    if "underlying" in frame.columns:
        constants["symbol"] = pl.col("underlying")
    frame = frame.with_columns(action=pl.lit(action), **constants)
    absent = [pl.lit(1 if name == "rows" else None).alias(name) for name in FINDINGS if name not in frame.columns]
    return frame.with_columns(absent).select(pl.col(name).cast(dtype) for name, dtype in FINDINGS.items())


def content_hash(quotes: pl.DataFrame) -> str:
    """SHA-256 in hex of the content of quotes, whatever the order of their rows.

    quotes : DataFrame with the columns of `SCHEMA`, one row per `KEY`.
    """
    quotes = quotes.select(SCHEMA.names()).sort(KEY)
    texts = [name for name, dtype in SCHEMA.items() if dtype == pl.String]
    counts = quotes.group_by("session", *texts, maintain_order=True).len().rows()
    digest = hashlib.sha256(repr((SCHEMA.names(), counts)).encode())
    for name in SCHEMA.names():
        if name not in texts:
            column = quotes[name].to_physical()
            values = column.fill_null(float("nan")) if column.dtype == pl.Float64 else column
            digest.update(values.to_numpy().tobytes())
    return digest.hexdigest()
