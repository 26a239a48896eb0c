"""From the columns that a file has to the columns of the bar contract: names, types, sessions."""

import datetime as dt
import re
from collections.abc import Mapping, Sequence

import polars as pl

from bq.market import calendars
from bq.market.bars import NUMBERS, ROWS, Rejected, findings
from bq.market.dates import to_sessions

Aliases = Mapping[str, Sequence[str]]  # of a column of the contract: the names that files give it
ALIASES: Aliases = {
    "symbol": ("symbol", "ticker"),
    "session": ("session", "date", "timestamp", "datetime", "time", "day"),
    **{name: (name,) for name in ("open", "high", "low", "close", "adj", "quoted")},
    "volume": ("volume", "vol"),
    "adj_close": ("adjclose", "adjustedclose"),
    "iv": ("iv", "impliedvolatility"),
    "sector": ("sector",),
}
EMPTY = ("", "-", "null", "none", "na", "n/a", "#n/a")  # texts that mean: no value
TRUTH = {"true": True, "1": True, "false": False, "0": False}


def by_alias(names: list[str], aliases: Aliases) -> dict[str, str]:
    """`{contract name: file's name}` of the columns that have a place; case, spaces and punctuation do not matter.

    Raises Rejected if two columns claim the same place.
    """
    place = {alias: name for name, known in aliases.items() for alias in known}
    found: dict[str, str] = {}
    for name in names:
        bare = re.sub(r"_duplicated_\d+$", "", name).casefold()
        canonical = place.get(re.sub(r"[\W_]", "", bare))
        if canonical in found:
            both = f"{found[canonical]!r} and {name!r}"
            raise Rejected("two_columns", f"one column may hold `{canonical}`, but {both} do. Rename or remove one.")
        if canonical:
            found[canonical] = name
    return found


def missing(name: str, names: list[str], aliases: Aliases) -> Rejected:
    """The refusal of a file without a column that it needs."""
    must = f"a column {' or '.join(f'`{alias}`' for alias in aliases[name])} must be there"
    return Rejected("missing_column", f"{must}, but the columns are: {', '.join(map(repr, names[:20]))}.")


def match(names: list[str]) -> dict[str, str]:
    """Which of a file's columns holds which column of the contract: `{contract name: file's name}`.

    Case, spaces and punctuation do not matter. Raises Rejected if a required column (session, close) is absent, or if
    two columns claim the same place.

    >>> match(["Date", "Adj Close", "Close", "Exchange"])
    {'session': 'Date', 'adj_close': 'Adj Close', 'close': 'Close'}
    """
    found = by_alias(names, ALIASES)
    for name in ("session", "close"):
        if name not in found:
            raise missing(name, names, ALIASES)
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
    _check_numbers(rows, types, decimal_comma=decimal_comma)
    numbers = [name for name in found if name in (*NUMBERS, "adj_close")]
    columns = {name: _number(name, types[name], decimal_comma=decimal_comma) for name in numbers}
    days = _days(rows, calendar=calendar, today=today)
    columns["session"] = pl.col("day")
    columns["symbol"] = _ticker() if "symbol" in found else pl.lit(symbol)
    columns["row"] = pl.col("row")
    columns["sector"] = _text(pl.col("sector")) if "sector" in found else pl.lit(None)
    columns["quoted"] = _truth(rows) if "quoted" in found else pl.lit(True)
    columns["file"] = pl.lit(file)
    if "adj" not in found:
        columns["adj"] = columns["adj_close"] / columns["close"] if "adj_close" in found else pl.lit(1.0)
    rows = rows.join(days, on="session", how="left", maintain_order="left")
    rows = rows.select(columns.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in ROWS.items())
    return rows, _ignored(schema.names(), found, file=file)


def _ignored(names: list[str], found: dict[str, str], *, file: str) -> pl.DataFrame:
    extra = [name for name in names if name not in found.values()]
    frame = pl.DataFrame({"file": [file] if extra else []}, schema={"file": pl.String})
    return findings(frame, action="repaired", rule="extra_columns", detail=f"ignored: {', '.join(extra)}")


def _ticker() -> pl.Expr:
    """Symbols as written (`NA` is one), without surrounding blanks; null where there is nothing."""
    ticker = pl.col("symbol").cast(pl.String).str.strip_chars()
    return pl.when(ticker != "").then(ticker)


def _text(column: pl.Expr) -> pl.Expr:
    """Text without surrounding blanks, null where it says that there is no value."""
    text = column.cast(pl.String).str.strip_chars()
    return pl.when(~text.str.to_lowercase().is_in(EMPTY)).then(text)


def _number(name: str, dtype: pl.DataType, *, decimal_comma: bool) -> pl.Expr:
    """A column as numbers; text that is none becomes null."""
    if dtype != pl.String:
        return pl.col(name).cast(pl.Float64)
    text = pl.col(name).str.strip_chars()
    return (text.str.replace(",", ".", literal=True) if decimal_comma else text).cast(pl.Float64, strict=False)


def _check_numbers(rows: pl.LazyFrame, types: pl.Schema, *, decimal_comma: bool) -> None:
    """Raise Rejected for a file without rows, and for columns that hold anything but numbers."""
    numbers = [name for name in types if name in (*NUMBERS, "adj_close")]
    for name in numbers:
        if types[name] not in (pl.String, pl.Null) and not types[name].is_numeric():
            raise Rejected("wrong_dtype", f"{name} must hold numbers, but holds {types[name]}.")
    texts = [name for name in numbers if types[name] == pl.String]
    unread = {
        name: _number(name, types[name], decimal_comma=decimal_comma).is_null() & pl.col(name).is_not_null()
        for name in texts
    }
    marks = {mark: pl.any_horizontal(pl.col(texts).str.contains(mark, literal=True)).any() for mark in ",."}
    facts = {"len": pl.len(), **{name: broken.any() for name, broken in unread.items()}}
    seen = rows.select(**facts, **(marks if decimal_comma and texts else {})).collect(engine="streaming")
    if not seen["len"].item():
        raise Rejected("empty", "a file must hold rows, but this one has none.")
    if all(mark in seen and seen[mark].item() for mark in marks):
        raise Rejected(
            "mixed_decimals", "numbers must use one decimal mark and no other, but the file has `,` and `.`."
        )
    for name in texts:
        if seen[name].item():
            _refuse_text(rows.filter(unread[name]), name)


def _refuse_text(rows: pl.LazyFrame, name: str) -> None:
    """Raise Rejected for the first text that neither is a number nor says that there is no value."""
    wrong = rows.filter(_text(pl.col(name)).is_not_null()).select("row", name).head(1).collect(engine="streaming")
    for row, text in wrong.rows():
        raise Rejected("wrong_dtype", f"row {row}: {name} must be a plain number (1234.5), but reads {text!r}.")


def _days(rows: pl.LazyFrame, *, calendar: str, today: dt.date) -> pl.LazyFrame:
    """The trading session `day` for each different value of the column `session`, as found.

    A table to join: the streaming engine does not stream a long `replace_strict`, and a file has few different days.
    """
    found = rows.select(as_found=pl.col("session").unique()).collect(engine="streaming")
    text = pl.col("as_found") if found["as_found"].dtype.is_temporal() else _text(pl.col("as_found"))
    found = found.with_columns(value=text).drop_nulls().sort("value")
    try:
        sessions = to_sessions(found["value"], zone=calendars.time_zone(calendar))
        late = found["value"].filter(sessions > today)
        if len(late):
            raise Rejected("future_session", f"no session may be later than today, {today}, but one is.", late[0])
    except Rejected as refusal:
        if refusal.value is None:
            raise
        culprit = found.filter(pl.col("value") == refusal.value)["as_found"][0]
        row = rows.filter(pl.col("session") == culprit).select("row").head(1).collect(engine="streaming").item()
        raise Rejected(refusal.rule, f"row {row}: {refusal.detail}") from None
    return pl.LazyFrame({"session": found["as_found"], "day": sessions})


def _truth(rows: pl.LazyFrame) -> pl.Expr:
    """The expression that turns the column `quoted`, as found, into true and false."""
    words = _text(pl.col("quoted")).str.to_lowercase()
    unknown = rows.select(words.unique()).collect()["quoted"].drop_nulls()
    unknown = unknown.filter(~unknown.is_in(list(TRUTH)))
    if len(unknown):
        raise Rejected("wrong_dtype", f"quoted must hold true or false, but one reads {unknown[0]!r}.")
    return words.replace_strict(TRUTH, default=None, return_dtype=pl.Boolean)
