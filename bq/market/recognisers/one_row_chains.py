"""Chains with a call and a put in each row: OptionsDX and ORATS."""

import re
from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from bq.market.recognisers.cells import by_bare
from bq.market.tables import ROW, Table

OPTIONS_DX = {
    "session": "quotedate",
    "expiry": "expiredate",
    "strike": "strike",
    "spot": "underlyinglast",
}
ORATS = {  # two generations of names: files of strikes, and the programming interface
    "underlying": ("ticker",),
    "session": ("tradedate",),
    "expiry": ("expirdate",),
    "strike": ("strike",),
    "spot": ("spotpx", "spotprice", "stkpx", "stockprice"),  # an index's own price before that of its future
}
ORATS_SIDES = {
    "bid": ("bidpx", "bidprice"),
    "ask": ("askpx", "askprice"),
    "volume": ("volu", "volume"),
    "open_interest": ("oi", "openinterest"),
}
EOD = r"(?i)[_-](eod|\d+x\d+|\d{2,3}day).*$"  # spy_eod_202001: the file's name says the underlying


def options_dx(table: Table) -> Table | None:
    """`[QUOTE_DATE], [UNDERLYING_LAST], [EXPIRE_DATE], …, [C_BID], [C_ASK], [STRIKE], [P_BID], [P_ASK], …`."""
    names = by_bare(table.names)
    sides = {
        right: {
            held: names[f"{mark}{bare}"]
            for held, bare in (("bid", "bid"), ("ask", "ask"), ("volume", "volume"), ("vendor_iv", "iv"))
            if f"{mark}{bare}" in names
        }
        for right, mark in (("call", "c"), ("put", "p"))
    }
    if not set(OPTIONS_DX.values()) <= set(names) or not _whole(sides):
        return None
    shared = {place: names[bare] for place, bare in OPTIONS_DX.items()}
    stem = re.sub(EOD, "", table.stem)
    return replace(table, scan=_two_rows(table, shared, sides), stem=stem.upper(), layout="OptionsDX")


def orats(table: Table) -> Table | None:
    """`ticker,stkPx,expirDate,strike,cBidPx,cAskPx,pBidPx,pAskPx,…` or `callBidPrice,putBidPrice,…`."""
    names = by_bare(table.names)
    shared = {place: found for place, known in ORATS.items() if (found := _first(names, known))}
    sides = {
        right: {
            held: found
            for held, known in ORATS_SIDES.items()
            if (found := _first(names, [f"{mark}{bare}" for mark in marks for bare in known]))
        }
        for right, marks in (("call", ("c", "call")), ("put", ("p", "put")))
    }
    if set(shared) != set(ORATS) or not _whole(sides):
        return None
    return replace(table, scan=_two_rows(table, shared, sides), layout="ORATS")


def _first(names: Mapping[str, str], known) -> str | None:
    return next((names[bare] for bare in known if bare in names), None)


def _whole(sides: Mapping[str, Mapping[str, str]]) -> bool:
    return all({"bid", "ask"} <= set(held) for held in sides.values())


def _two_rows(table: Table, shared: Mapping[str, str], sides: Mapping[str, Mapping[str, str]]) -> pl.LazyFrame:
    """A row for the call and one for the put; text loses the blanks that surround it."""
    rows = table.scan.with_row_index(ROW, 1)
    return pl.concat(
        [
            rows.select(
                ROW,
                *(pl.col(name).alias(place) for place, name in shared.items()),
                *(pl.col(name).alias(held) for held, name in held_by.items()),
                right=pl.lit(right),
            )
            for right, held_by in sides.items()
        ]
    )
