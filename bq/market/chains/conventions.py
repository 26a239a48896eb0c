"""What a contract's root and expiry say about it: underlying, exercise style, settlement, last day.

Sources: Cboe and Nasdaq product specifications. A file's own columns `style` and `settlement` go before these.
"""

import polars as pl

from bq.market import calendars
from bq.market.chains.quotes import SCHEMA, findings

WEEKLY_ROOTS = {"SPXW": "SPX", "SPXPM": "SPX", "NDXP": "NDX", "RUTW": "RUT", "VIXW": "VIX"}  # root: its index
EUROPEAN_ROOTS = ("SPX", "XSP", "NDX", "XND", "RUT", "MRUT", "DJX", "XEO", "VIX", *WEEKLY_ROOTS)  # OEX is American
AM_MONTHLY_ROOTS = ("SPX", "NDX", "RUT", "DJX")  # at the open of the third Friday; all else of them at the close
AM_ROOTS = ("VIX", "VIXW")  # at the open of every expiry


def underlying_of(root: pl.Expr) -> pl.Expr:
    """The underlying of a root: the index of a weekly root, a stock's ticker without an adjusted contract's digit.

    The digit of an adjusted contract follows letters (AAPL1); those of a ticker that is a number are its own (700).
    """
    return root.replace(WEEKLY_ROOTS).str.replace(r"^([A-Z]+)\d$", "$1")


def settled(rows: pl.DataFrame, *, calendar: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows with `style` and `settlement` filled in and `expiry` on a session, and findings on expiries that moved.

    Until February 2015 expiries were listed on the Saturday after the third Friday; nothing trades or settles then.
    An index's AM-settled monthly contract last trades on the session before its expiry.
    """
    days = rows["expiry"].drop_nulls().unique().sort()
    moved = last_session(days, calendar=calendar)
    monthly = moved == last_session(_third_fridays(moved), calendar=calendar)
    at_open = pl.col("root").is_in(AM_ROOTS) | (
        pl.col("root").is_in(AM_MONTHLY_ROOTS)
        & pl.col("expiry").replace_strict(days, monthly, default=False, return_dtype=pl.Boolean)
    )
    settlement = pl.when(at_open).then(pl.lit("AM")).otherwise(pl.lit("PM"))
    style = pl.when(pl.col("root").is_in(EUROPEAN_ROOTS)).then(pl.lit("european")).otherwise(pl.lit("american"))
    found = _moved(rows.filter(pl.col("expiry").is_in(days.filter(days != moved).implode())))
    rows = rows.with_columns(
        pl.col("style").fill_null(style.cast(SCHEMA["style"])),
        pl.col("settlement").fill_null(settlement.cast(SCHEMA["settlement"])),
        pl.col("expiry").replace_strict(days, moved, default=None, return_dtype=pl.Date),
    )
    return rows, found


def _third_fridays(days: pl.Series) -> pl.Series:
    """The third Friday of each day's month."""
    first = pl.col("day").dt.month_start()
    third = first + pl.duration(days=(12 - first.dt.weekday().cast(pl.Int64)) % 7 + 14)
    return pl.DataFrame({"day": days}).select(third)["day"]


def last_session(days: pl.Series, *, calendar: str) -> pl.Series:
    """The last session on or before each day; beyond the calendar's own range, the last weekday."""
    known = calendars.sessions(calendar).select("session").sort("session")
    weekday = pl.col("day") - pl.duration(days=(pl.col("day").dt.weekday().cast(pl.Int64) - 5).clip(0))
    outside = pl.col("session").is_null() | (pl.col("day") > known["session"].max())
    matched = (
        pl.DataFrame({"day": days})
        .with_row_index()
        .sort("day")
        .join_asof(known, left_on="day", right_on="session", coalesce=False)
        .sort("index")
    )
    return matched.select(pl.when(outside).then(weekday).otherwise("session").alias("day"))["day"]


def _moved(rows: pl.DataFrame) -> pl.DataFrame:
    by_file = rows.group_by("file", "underlying", maintain_order=True).agg(
        pl.col("row", "expiry").first(), rows=pl.len()
    )
    detail = pl.format(
        "{} rows expire on a day without a session (first: {}); moved to the session before", "rows", "expiry"
    )
    return findings(by_file, action="repaired", rule="expiry_moved", detail=detail)
