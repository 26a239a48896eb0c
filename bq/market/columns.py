"""From the columns that a file has to the columns of the bar contract: names, types, sessions."""

import datetime as dt
import re

import polars as pl

from bq.market import calendars
from bq.market.bars import NUMBERS, ROWS, Rejected, findings
from bq.market.dates import to_sessions

ALIASES = {
    "symbol": ("symbol", "ticker"),
    "session": ("session", "date", "timestamp", "datetime", "time", "day"),
    **{name: (name,) for name in ("open", "high", "low", "close", "adj", "quoted")},
    "volume": ("volume", "vol"),
    "adj_close": ("adjclose", "adjustedclose"),
    "iv": ("iv", "impliedvolatility"),
}
EMPTY = ("", "-", "null", "none", "na", "n/a", "#n/a")  # texts that mean: no value
TRUTH = {"true": True, "1": True, "false": False, "0": False}


def match(names: list[str]) -> dict[str, str]:
    """Which of a file's columns holds which column of the contract: `{contract name: file's name}`.

    Case, spaces and punctuation do not matter. Raises Rejected if a required column (session, close) is absent, or if
    two columns claim the same place.

    >>> match(["Date", "Adj Close", "Close", "Sector"])
    {'session': 'Date', 'adj_close': 'Adj Close', 'close': 'Close'}
    """
    place = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
    found: dict[str, str] = {}
    for name in names:
        bare = re.sub(r"_duplicated_\d+$", "", name).casefold()
        canonical = place.get(re.sub(r"[\W_]", "", bare))
        if canonical in found:
            raise Rejected(
                "two_columns", f"one column may hold `{canonical}`, but {found[canonical]!r} and {name!r} do."
            )
        if canonical:
            found[canonical] = name
    for name in ("session", "close"):
        if name not in found:
            raise Rejected(
                "missing_column",
                f"a column {' or '.join(f'`{alias}`' for alias in ALIASES[name])} must be there, but the columns are: "
                f"{', '.join(map(repr, names[:20]))}.",
            )
    return found


def typed(
    scan: pl.LazyFrame, *, file: str, symbol: str, calendar: str, today: dt.date, decimal_comma: bool = False
) -> tuple[pl.LazyFrame, pl.DataFrame]:
    """Give a file's columns the names and types of the contract.

    scan : the file, columns as found. file, symbol : origin for findings; symbol of the rows if no column says it.
    calendar : its time zone turns timestamps into sessions. today : no session may be later.
    decimal_comma : text may read 1,5 for 1.5 (then no number in the file may hold a point).

    Returns the lazy rows (`bars.ROWS`; adj = adj_close / close where the file has adj_close and no adj; adj = 1 and
    quoted = true where it has no such columns) and the findings about columns that are ignored.

    Raises Rejected for what makes the whole file unfit.
    """
    schema = scan.collect_schema()
    found = match(schema.names())
    if "adj" in found:
        found.pop("adj_close", None)
    rows = scan.select(pl.col(name).alias(canonical) for canonical, name in found.items()).with_row_index("row", 1)
    types = rows.collect_schema()
    comma = _checked_numbers(rows, types, decimal_comma=decimal_comma)
    columns = {name: _number(name, types[name], comma=comma) for name in found if name in (*NUMBERS, "adj_close")}
    columns["session"] = _session(rows, types, calendar=calendar, today=today)
    ticker = pl.col("symbol").cast(pl.String).str.strip_chars()
    columns["symbol"] = pl.when(ticker != "").then(ticker) if "symbol" in found else pl.lit(symbol)
    columns["row"] = pl.col("row")
    columns["quoted"] = _truth(rows, types) if "quoted" in found else pl.lit(True)
    columns["file"] = pl.lit(file)
    if "adj" not in found:
        columns["adj"] = columns["adj_close"] / columns["close"] if "adj_close" in found else pl.lit(1.0)
    rows = rows.select(columns.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in ROWS.items())
    return rows, _ignored(schema.names(), found, file=file)


def _ignored(names: list[str], found: dict[str, str], *, file: str) -> pl.DataFrame:
    extra = [name for name in names if name not in found.values()]
    frame = pl.DataFrame({"file": [file] if extra else []}, schema={"file": pl.String})
    return findings(frame, action="repaired", rule="extra_columns", detail=f"ignored: {', '.join(extra)}")


def _text(name: str) -> pl.Expr:
    """A text column without surrounding blanks, null where it says that there is no value."""
    text = pl.col(name).str.strip_chars()
    return pl.when(~text.str.to_lowercase().is_in(EMPTY)).then(text)


def _number(name: str, dtype: pl.DataType, *, comma: bool) -> pl.Expr:
    if dtype != pl.String:
        return pl.col(name).cast(pl.Float64)
    text = _text(name)
    return (text.str.replace(",", ".", literal=True) if comma else text).cast(pl.Float64, strict=False)


def _checked_numbers(rows: pl.LazyFrame, types: pl.Schema, *, decimal_comma: bool) -> bool:
    """Whether numbers have a decimal comma. Raises Rejected for an empty file and for what is no number."""
    numbers = [name for name in types if name in (*NUMBERS, "adj_close")]
    for name in numbers:
        if types[name] not in (pl.String, pl.Null) and not types[name].is_numeric():
            raise Rejected("wrong_dtype", f"{name} must hold numbers, but holds {types[name]}.")
    texts = [name for name in numbers if types[name] == pl.String]
    marks = {f"{name} {mark}": pl.col(name).str.contains(mark, literal=True).any() for name in texts for mark in ",."}
    broken = {
        f"{name} broken {comma}": (_number(name, pl.String(), comma=comma).is_null() & _text(name).is_not_null()).any()
        for name in texts
        for comma in {decimal_comma, False}
    }
    seen = rows.select(pl.len(), **marks, **broken).collect(engine="streaming").row(0, named=True)
    if not seen["len"]:
        raise Rejected("empty", "a file must hold rows, but this one has none.")
    comma = decimal_comma and any(seen[f"{name} ,"] for name in texts)
    if comma and any(seen[f"{name} ."] for name in texts):
        raise Rejected(
            "mixed_decimals", "numbers must use one decimal mark and no other, but the file has `,` and `.`."
        )
    for name in texts:
        if seen[f"{name} broken {comma}"]:
            _refuse_text(rows, name, comma=comma)
    return comma


def _refuse_text(rows: pl.LazyFrame, name: str, *, comma: bool) -> None:
    broken = _number(name, pl.String(), comma=comma).is_null() & _text(name).is_not_null()
    row, text = rows.filter(broken).select("row", name).head(1).collect(engine="streaming").row(0)
    raise Rejected("wrong_dtype", f"{name} must hold plain numbers (1234.5), but row {row} reads {text!r}.")


def _session(rows: pl.LazyFrame, types: pl.Schema, *, calendar: str, today: dt.date) -> pl.Expr:
    """The expression that turns the column `session`, as found, into dates."""
    as_found = _text("session") if types["session"] == pl.String else pl.col("session")
    values = rows.select(as_found.unique()).collect(engine="streaming")["session"].drop_nulls().sort()
    try:
        sessions = to_sessions(values, zone=calendars.time_zone(calendar))
        late = values.filter(sessions > today)
        if len(late):
            raise Rejected(
                "future_session", f"no session may lie after today ({today}), but one reads {late[0]}.", late[0]
            )
    except Rejected as refusal:
        if refusal.value is None:
            raise
        row = rows.filter(as_found == refusal.value).select("row").head(1).collect(engine="streaming").item()
        raise Rejected(refusal.rule, f"row {row}: {refusal.detail}") from None
    return as_found.replace_strict(values, sessions, default=None, return_dtype=pl.Date)


def _truth(rows: pl.LazyFrame, types: pl.Schema) -> pl.Expr:
    """The expression that turns the column `quoted`, as found, into true and false."""
    if types["quoted"] == pl.Boolean:
        return pl.col("quoted")
    words = _text("quoted").str.to_lowercase() if types["quoted"] == pl.String else pl.col("quoted").cast(pl.String)
    unknown = rows.select(words.unique()).collect()["quoted"].drop_nulls()
    unknown = unknown.filter(~unknown.is_in(list(TRUTH)))
    if len(unknown):
        raise Rejected("wrong_dtype", f"quoted must hold true or false, but one reads {unknown[0]!r}.")
    return words.replace_strict(TRUTH, default=None, return_dtype=pl.Boolean)
