"""What `yfinance.download` and pandas-datareader write: several header rows in CSV, pairs as names in Parquet.

Three header rows (`Price,Close,…` / `Ticker,AAPL,…` / `Date,,…`), or two where the dates were a column; with one ticker
or many; prices before tickers or (`group_by="ticker"`) after them. In Parquet the names read `('Close', 'AAPL')`.
"""

import ast
from dataclasses import replace

import polars as pl

from bq.market.recognisers.unfold import unfolded
from bq.market.tables import Table, bare, plain

PRICES = ("open", "high", "low", "close", "adj close", "volume")
ASIDE = ("dividends", "stock splits", "capital gains", "repaired?")
DATES = ("date", "datetime")
FIRST = ("", "price", "ticker", "attributes", "symbols", *DATES)  # the first cell: a level's name, or the dates'


def recognise(table: Table) -> Table | None:
    """One row a ticker and session, from whichever of the forms."""
    pairs = _in_names(table.names)
    if pairs:
        return _read(table, table.scan.with_row_index("row", 1).collect(), pairs, table.names)
    if len(table.names) < 2 or bare(table.names[0]) not in FIRST:
        return None
    try:
        head = table.scan.head(2).collect()
    except pl.exceptions.PolarsError:  # damaged: whoever reads all of it says so
        return None
    if head.is_empty() or any(dtype != pl.String for dtype in head.dtypes):
        return None
    second, third = ([cell or "" for cell in row] for row in (*head.rows(), ("",) * len(head.columns))[:2])
    dated = next((i for i, name in enumerate(table.names[:2]) if _is_dates(name, second[i], third[i])), None)
    if dated is None:
        return None
    after = table.names[dated + 1 :]
    found = {
        name: pair
        for name, below in zip(after, second[dated + 1 :], strict=True)
        if (pair := _pair(plain(name), below))
    }
    if len(found) < len(after):
        return None
    headers = 2 if third[dated].strip().casefold() in DATES else 1
    if headers == 1 and any(symbol.replace(".", "").isdigit() for symbol, _ in found.values()):
        return None  # a row of prices without a date, not one of tickers
    frame = table.scan.slice(headers).with_row_index("row", 1).collect()
    return _read(table, frame, found, table.names[dated : dated + 1])


def _word(name: str) -> bool:
    return plain(name).strip().casefold() in (*PRICES, *ASIDE)


def _pair(above: str, below: str) -> tuple[str, str] | None:
    """(ticker, what is held) of two cells of a header, in whichever order; None where neither is a word for a price."""
    above, below = above.strip(), below.strip()
    if _word(above) and below and not _word(below):
        return below, above.casefold()
    if _word(below) and above and not _word(above):
        return above, below.casefold()
    return None


def _is_dates(above: str, below: str, third: str) -> bool:
    """Whether the three header cells of a column are those of the dates."""
    if third.strip().casefold() in DATES:
        return True
    return plain(above).strip().casefold() in DATES and below.strip() == ""


def _in_names(names: list[str]) -> dict[str, tuple[str, str]]:
    """The pairs that Parquet's names spell out, `('Close', 'AAPL')`; empty where they do not."""
    found = {}
    for name in names:
        if name.startswith("('") and name.endswith("')"):
            try:
                parts = ast.literal_eval(name)
            except (ValueError, SyntaxError):
                return {}
            pair = _pair(*parts) if len(parts) == 2 and all(isinstance(part, str) for part in parts) else None
            if pair:
                found[name] = pair
    return found


def _read(table: Table, frame: pl.DataFrame, pairs: dict[str, tuple[str, str]], names: list[str]) -> Table | None:
    date = next((name for name in names if name not in pairs and name != "row"), None)
    columns = {name: pair for name, pair in pairs.items() if pair[1] in PRICES}
    if date is None or not columns:
        return None
    scan, empty = unfolded(frame, date=date, columns=columns)
    tickers = len({symbol for symbol, _ in columns.values()})
    said = f"{tickers} {'ticker' if tickers == 1 else 'tickers'}"
    if empty:
        said += f"; rows without a value for a ticker: {empty:,}, no bars of it"
    return replace(table, scan=scan, layout="yfinance", said=said)
