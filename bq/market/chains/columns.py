"""From the columns that a file of quotes has to those of the quote contract: names, types, dates."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from bq.market import calendars
from bq.market.bars import Rejected
from bq.market.chains.conventions import underlying_of
from bq.market.chains.quotes import NUMBERS, ROWS, findings
from bq.market.columns import EMPTY, Columns, by_alias, missing, numbered, ticker
from bq.market.dates import order_of, to_sessions
from bq.market.tables import ROW, DateOrder, Table

ALIASES = {
    "underlying": ("underlying", "underlyingsymbol", "symbol", "ticker", "actsymbol"),
    "root": ("root",),
    "contract": ("contract", "optionroot", "contractsymbol", "optionsymbol", "occsymbol"),
    "session": ("session", "quotedate", "date", "tradedate", "datadate"),
    "expiry": ("expiry", "expiration", "expirationdate", "expirydate", "expiredate", "exdate"),
    "right": ("right", "type", "optiontype", "callput", "putcall", "cp", "cpflag"),
    "strike": ("strike",),  # not `strike_price`: a well-known vendor multiplies that by 1000
    "bid": ("bid", "bidprice", "bideod", "bestbid"),
    "ask": ("ask", "askprice", "askeod", "bestask", "offer", "bestoffer"),
    "spot": ("spot", "underlyinglast", "underlyingprice", "underlyingclose", "spotprice", "stockprice"),
    "style": ("style", "exercisestyle"),
    "settlement": ("settlement",),
    "volume": ("volume", "tradevolume"),
    "open_interest": ("openinterest", "openint", "oi"),
    "vendor_iv": ("iv", "impliedvol", "impliedvolatility", "vendoriv"),
}
REQUIRED = ("session", "expiry", "right", "strike", "bid", "ask", "spot")
IN_CONTRACT = ("root", "expiry", "right", "strike")  # what an OCC id says: SPXW190426C00800000
OCC_ID = r"^(?<root>[A-Z][A-Z0-9]{0,5}) *(?<expiry>\d{6})(?<right>[CP])(?<strike>\d{8})$"
WORDS = {
    "right": {"call": "call", "c": "call", "put": "put", "p": "put"},
    "style": {"european": "european", "e": "european", "american": "american", "a": "american"},
    "settlement": {"am": "AM", "pm": "PM"},
}
ASKED_OF = (*NUMBERS, "vendor_iv")


def match(names: list[str], columns: Columns | None = None, *, spot: bool = True) -> dict[str, str]:
    """Which of a file's columns holds which column of the contract: `{contract name: file's name}`.

    Case, spaces and punctuation do not matter. columns : places that the user has stated. spot : whether there must be
    a column of it. Raises Rejected if a required column is absent and no OCC id stands in for it, or if two columns
    claim the same place.

    >>> match(["quotedate", "underlying_last", "optionroot", "bid", "ask", "delta"])["spot"]
    'underlying_last'
    """
    found = by_alias(names, ALIASES, columns)
    stands_in = IN_CONTRACT if "contract" in found else ()
    absent = [name for name in REQUIRED if name not in found and name not in stands_in and (spot or name != "spot")]
    if absent:
        raise missing(absent, names, ALIASES)
    if all(name in found for name in IN_CONTRACT):
        found.pop("contract", None)
    return found


def typed(
    table: Table, found: Mapping[str, str], *, file: str, calendar: str, today: dt.date
) -> tuple[pl.LazyFrame, pl.DataFrame]:
    """Give a file's columns the names and types of the contract; columns that it does not know are never read.

    table : the file as a recogniser gives it. found : from `match`. file : origin for findings.
    calendar : its time zone turns timestamps into sessions. today : no session may be later.

    Returns the lazy rows (`quotes.ROWS`) and the findings about columns that are ignored.
    Raises Rejected for what makes the whole file unfit.
    """
    comma = table.decimal_comma
    rows = _from_contract(_plain(numbered(table, found)), found)
    types = rows.collect_schema()
    reading = _Reading(calendars.time_zone(calendar), today, table.dates, comma)
    dates = _judged(rows, types, reading)
    columns = {name: _number(name, types[name], comma=comma) for name in ASKED_OF if name in types}
    columns |= {
        name: _text(name).str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.String)
        for name, words in WORDS.items()
        if name in types
    }
    columns |= {
        name: _dated(name, types[name]).replace_strict(values, days, default=None, return_dtype=pl.Date)
        for name, (values, days) in dates.items()
    }
    columns |= _named(types, stem=table.stem) | {"row": pl.col("row"), "file": pl.lit(file)}
    rows = rows.select(columns.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in ROWS.items())
    return rows, _ignored(table.names, found, file=file)


def _plain(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Categorical columns as text."""
    kinds = (pl.Categorical, pl.Enum)
    texts = [name for name, dtype in rows.collect_schema().items() if isinstance(dtype, kinds)]
    return rows.with_columns(pl.col(texts).cast(pl.String)) if texts else rows


def _from_contract(rows: pl.LazyFrame, found: Mapping[str, str]) -> pl.LazyFrame:
    """Rows with what the OCC id says in columns of its own, where the file has no such columns."""
    if "contract" not in found:
        return rows
    parts = pl.col("contract").cast(pl.String).str.strip_chars().str.extract_groups(OCC_ID)
    values = {
        "root": parts.struct.field("root"),
        "expiry": parts.struct.field("expiry").str.to_date("%y%m%d", strict=False),
        "right": parts.struct.field("right"),
        "strike": parts.struct.field("strike").cast(pl.Float64) / 1000,
    }
    return rows.with_columns(**{name: value for name, value in values.items() if name not in found})


def _named(types: pl.Schema, *, stem: str) -> dict[str, pl.Expr]:
    """The columns `underlying` and `root`, each from the other where the file has one of them."""
    root = ticker("root", types["root"]) if "root" in types else None
    if "underlying" in types:
        underlying = ticker("underlying", types["underlying"])
    else:
        underlying = pl.lit(stem) if root is None else underlying_of(root)
    return {"underlying": underlying, "root": underlying if root is None else root}


def _text(name: str) -> pl.Expr:
    """Text without surrounding blanks, null where it says that there is no value."""
    text = pl.col(name).cast(pl.String).str.strip_chars()
    return pl.when(~text.str.to_lowercase().is_in(EMPTY)).then(text)


def _dated(name: str, dtype: pl.DataType) -> pl.Expr:
    return pl.col(name) if dtype.is_temporal() else _text(name)


def _number(name: str, dtype: pl.DataType, *, comma: bool) -> pl.Expr:
    """A column as numbers; text that is none becomes null."""
    if dtype != pl.String:
        return pl.col(name).cast(pl.Float64)
    text = pl.col(name).str.strip_chars()
    return (text.str.replace(",", ".", literal=True) if comma else text).cast(pl.Float64, strict=False)


class _Reading(NamedTuple):
    """How a file's text is read: `zone` of the exchange, its `today`, `order` of day and month, `comma` for a point."""

    zone: str
    today: dt.date
    order: DateOrder | None
    comma: bool


def _judged(rows: pl.LazyFrame, types: pl.Schema, reading: _Reading) -> dict[str, tuple[pl.Series, pl.Series]]:
    """The values that `session` and `expiry` take, each with its date.

    Raises Rejected for a file without rows and for columns that do not hold what they must. One pass over the file.
    """
    numbers = [name for name in ASKED_OF if name in types]
    for name in numbers:
        if types[name] not in (pl.String, pl.Null) and not types[name].is_numeric():
            raise Rejected("wrong_dtype", f"{name} must hold numbers, but holds {types[name]}.")
    unread = {
        name: _number(name, types[name], comma=reading.comma).is_null() & _text(name).is_not_null()
        for name in numbers
        if types[name] == pl.String
    }
    values = {name: _text(name).str.to_lowercase() for name in WORDS if name in types}
    values |= {name: _dated(name, types[name]) for name in ("session", "expiry")}
    values |= {name: ticker(name, types[name]) for name in ("underlying",) if name in types}
    facts = {name: value.unique().implode() for name, value in values.items()}
    texts = [name for name in numbers if types[name] == pl.String]
    if reading.comma and texts:
        facts |= {mark: pl.any_horizontal(pl.col(texts).str.contains(mark, literal=True)).any() for mark in ",."}
    seen = rows.select(len=pl.len(), **{name: wrong.any() for name, wrong in unread.items()}, **facts).collect(
        engine="streaming"
    )
    if not seen["len"].item():
        raise Rejected("empty", "a file must hold rows, but this one has none.")
    if "," in seen and seen[","].item() and seen["."].item():
        raise Rejected(
            "mixed_decimals", "numbers must use one decimal mark and no other, but the file has `,` and `.`."
        )
    for name, wrong in unread.items():
        if seen[name].item():
            row, text = rows.filter(wrong).select("row", name).head(1).collect(engine="streaming").row(0)
            raise Rejected("wrong_dtype", f"row {row}: {name} must be a plain number (1234.5), but reads {text!r}.")
    distinct = {name: seen[name].item().drop_nulls().sort() for name in values}
    _refuse_words(distinct)
    orders = {order for name in ("session", "expiry") if (order := order_of(distinct[name]))}
    if reading.order is None and len(orders) == 1:
        reading = reading._replace(order=orders.pop())
    return {
        name: (distinct[name], _to_dates(rows, values[name], distinct[name], name=name, reading=reading))
        for name in ("session", "expiry")
    }


def _refuse_words(distinct: dict[str, pl.Series]) -> None:
    """Raise Rejected for words that are none of a column's, and for contract ids in the place of tickers."""
    for name, words in WORDS.items():
        unknown = [text for text in distinct.get(name, []) if text not in words]
        if unknown:
            must = " or ".join(dict.fromkeys(words.values()))
            raise Rejected("wrong_dtype", f"{name} must hold {must}, but one reads {unknown[0]!r}.")
    for text in distinct.get("underlying", []):
        if re.match(OCC_ID.replace("?<", "?P<"), text):
            raise Rejected(
                "wrong_dtype", f"underlying must be a ticker, but one reads {text!r}. Name that column `contract`."
            )


def _to_dates(rows: pl.LazyFrame, as_found: pl.Expr, values: pl.Series, *, name: str, reading: _Reading) -> pl.Series:
    """The date of each distinct value of `session` or `expiry`."""
    try:
        days = to_sessions(values, zone=reading.zone, order=reading.order)
        late = values.filter(days > reading.today) if name == "session" else values.clear()
        if len(late):
            raise Rejected(
                "future_session", f"no session may be later than today, {reading.today}, but one is.", late[0]
            )
    except Rejected as refusal:
        if refusal.value is None:
            raise Rejected(refusal.rule, f"column `{name}`: {refusal.detail}") from None
        row = rows.filter(as_found == refusal.value).select("row").head(1).collect(engine="streaming").item()
        raise Rejected(refusal.rule, f"row {row}, column `{name}`: {refusal.detail}") from None
    return days


def _ignored(names: list[str], found: Mapping[str, str], *, file: str) -> pl.DataFrame:
    extra = [name for name in names if name not in (*found.values(), ROW)]
    frame = pl.DataFrame({"file": [file] if extra else []}, schema={"file": pl.String})
    detail = f"ignored: {', '.join(extra)}"
    return findings(frame, action="repaired", rule="extra_columns", rows=pl.lit(None), detail=detail)
