"""From the columns that a file has to the columns of the bar contract: names, types, sessions."""

import datetime as dt
import re
from collections.abc import Mapping, Sequence

import polars as pl

from bq.market import calendars
from bq.market.bars import NUMBERS, ROWS, Rejected, findings
from bq.market.dates import to_sessions
from bq.market.tables import ROW, DateOrder, Table, bare

Columns = Mapping[str, str]  # {contract name: a file's name of it}, as the user states them
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
NAMED = {
    "symbol": ("actsymbol", "tic", "stocksymbol", "stock", "instrument", "permno", "name")
}  # where none of ALIASES is
EMPTY = ("", "-", "null", "none", "na", "n/a", "#n/a")  # texts that mean: no value
TRUTH = {"true": True, "1": True, "false": False, "0": False}


def by_alias(names: list[str], aliases: Aliases, columns: Columns | None = None) -> dict[str, str]:
    """`{contract name: file's name}` of the columns that have a place; case, spaces and punctuation do not matter.

    columns : places that the user has stated; they go before the aliases.
    Raises Rejected if two columns claim the same place.
    """
    place = {alias: name for name, known in aliases.items() for alias in known}
    found = {name: column for name, column in (columns or {}).items() if name in aliases and column in names}
    stated = dict(found)
    for name in names:
        canonical = place.get(bare(name))
        if canonical in stated or name in stated.values():
            continue
        if canonical in found:
            both = f"{found[canonical]!r} and {name!r}"
            raise Rejected("two_columns", f"one column may hold `{canonical}`, but {both} do. Rename or remove one.")
        if canonical:
            found[canonical] = name
    return found


def missing(absent: Sequence[str], names: list[str], aliases: Aliases) -> Rejected:
    """The refusal of a file without the columns that it needs."""
    others = {name: [alias for alias in aliases[name] if alias != name] for name in absent}
    must = " and ".join(f"`{name}`" + (f" ({', '.join(others[name])})" if others[name] else "") for name in absent)
    columns = "a column" if len(absent) == 1 else "columns"
    if names and all(re.search(r"\d", name) for name in names):
        return Rejected(
            "missing_column",
            f"the first line must name the columns, among them {must}, but reads {', '.join(names[:5])}. Add one.",
        )
    return Rejected("missing_column", f"{columns} {must} must be there, but the {remedy(absent, names)}")


def remedy(absent: Sequence[str], names: Sequence[str]) -> str:
    """The columns that a file has, and how to say which of them is one that was not found."""
    shown = ", ".join(map(repr, names[:20])) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    stated = ", ".join(f"{name}: <its name>" for name in absent)
    return f"columns are: {shown}. If one of them is it, say so by `market.columns: {{{stated}}}`."


def match(names: list[str], columns: Columns | None = None) -> dict[str, str]:
    """Which of a file's columns holds which column of the contract: `{contract name: file's name}`.

    Case, spaces and punctuation do not matter. columns : places that the user has stated. Raises Rejected if a required
    column (session, close) is absent, or if two columns claim the same place.

    >>> match(["Date", "Adj Close", "Close", "Exchange"])
    {'session': 'Date', 'adj_close': 'Adj Close', 'close': 'Close'}
    """
    found = by_alias(names, ALIASES, columns)
    absent = [name for name in ("session", "close") if name not in found]
    if absent:
        raise missing(absent, names, ALIASES)
    known = {bare(name): name for name in names if name not in found.values()}
    for place, others in NAMED.items():
        if place not in found and (other := next((name for name in others if name in known), None)):
            found[place] = known[other]
    return found


def typed(
    table: Table, found: Mapping[str, str], *, file: str, calendar: str, today: dt.date, quoted: bool
) -> tuple[pl.LazyFrame, pl.DataFrame]:
    """Give a file's columns the names and types of the contract.

    table : the file as a recogniser gives it (with a decimal comma no number in the file may hold a point).
    found : from `match`. file : origin for findings.
    calendar : its time zone turns timestamps into sessions. today : no session may be later. quoted : of a file without
    such a column.

    Returns the lazy rows (`bars.ROWS`; adj = adj_close / close where the file has adj_close and no adj, adj = 1 where
    it has neither) and the findings about columns that are ignored.

    Raises Rejected for what makes the whole file unfit.
    """
    found, decimal_comma = dict(found), table.decimal_comma
    if "adj" in found:
        found.pop("adj_close", None)
    rows = numbered(table, found)
    types = rows.collect_schema()
    _check_numbers(rows, types, decimal_comma=decimal_comma)
    numbers = [name for name in found if name in (*NUMBERS, "adj_close")]
    columns = {name: _number(name, types[name], decimal_comma=decimal_comma) for name in numbers}
    days = _days(rows, calendar=calendar, today=today, order=table.dates)
    columns["session"] = pl.col("day")
    columns["symbol"] = ticker("symbol", types["symbol"]) if "symbol" in found else pl.lit(table.stem)
    columns["row"] = pl.col("row")
    columns["sector"] = _text(pl.col("sector")) if "sector" in found else pl.lit(None)
    columns["quoted"] = _truth(rows) if "quoted" in found else pl.lit(quoted)
    columns["file"] = pl.lit(file)
    if "adj" not in found:
        columns["adj"] = columns["adj_close"] / columns["close"] if "adj_close" in found else pl.lit(1.0)
    rows = rows.join(days, on="session", how="left", maintain_order="left")
    rows = rows.select(columns.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in ROWS.items())
    return rows, _ignored(table.names, found, file=file)


def numbered(table: Table, found: Mapping[str, str]) -> pl.LazyFrame:
    """The columns that have a place, under the contract's names, and `row`: that of the file, from 1."""
    rows = table.scan.select(
        *([pl.col(ROW).alias("row")] if ROW in table.names else []),
        *(pl.col(name).alias(canonical) for canonical, name in found.items()),
    )
    return rows if ROW in table.names else rows.with_row_index("row", 1)


def _ignored(names: list[str], found: dict[str, str], *, file: str) -> pl.DataFrame:
    extra = [name or "a column without a name" for name in names if name not in (*found.values(), ROW)]
    frame = pl.DataFrame({"file": [file] if extra else []}, schema={"file": pl.String})
    return findings(frame, action="repaired", rule="extra_columns", detail=f"ignored: {', '.join(extra)}")


def ticker(name: str, dtype: pl.DataType) -> pl.Expr:
    """Symbols as written (`NA` is one), without surrounding blanks; null where there is nothing.

    Whole numbers that a missing value has made fractions of (10107.0) are whole again.
    """
    column = pl.col(name).cast(pl.Int64, strict=False) if dtype.is_float() else pl.col(name)
    text = column.cast(pl.String).str.strip_chars()
    return pl.when(text != "").then(text)


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


def _days(rows: pl.LazyFrame, *, calendar: str, today: dt.date, order: DateOrder | None) -> pl.LazyFrame:
    """The trading session `day` for each different value of the column `session`, as found.

    A table to join: the streaming engine does not stream a long `replace_strict`, and a file has few different days.
    """
    found = rows.select(as_found=pl.col("session").unique()).collect(engine="streaming")
    text = pl.col("as_found") if found["as_found"].dtype.is_temporal() else _text(pl.col("as_found"))
    found = found.with_columns(value=text).drop_nulls().sort("value")
    try:
        sessions = to_sessions(found["value"], zone=calendars.time_zone(calendar), order=order)
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
