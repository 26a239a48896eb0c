"""Panels with a row for each session and a column of closes for each symbol: `Date,AAPL,MSFT,…`."""

from dataclasses import replace

from bq.market.recognisers.unfold import unfolded
from bq.market.tables import Table, bare

DATES = ("date", "session", "datetime", "timestamp", "day", "time", "")
NO_SYMBOLS = (  # names, as they are compared, of columns that hold no symbol's closes
    *("high", "close", "last", "price", "settle", "volume", "vol", "vwap", "adjclose", "bid", "ask", "return"),
    *("returns", "ret", "prc", "symbol", "ticker", "name", "openint", "turnover", "change", "chg"),
)
ALSO_SYMBOLS = ("open", "low")  # names of prices, and tickers of companies: the latter where most others are symbols


def recognise(table: Table) -> Table | None:
    """Unfold to one row a symbol and session; an empty cell is no row.

    Columns count as symbols if there are two or more, all in capitals (`BRK.B`, `^SPX`, `BTC-USD`), and none of them
    is a word for a price or a number of something else; `LOW` and `OPEN` are symbols among twice as many others.
    """
    names = table.names
    if not names or bare(names[0]) not in DATES or len(names) < 3:
        return None
    symbols = names[1:]
    if set(table.columns.values()) & set(names) or not all(name and name == name.upper() for name in symbols):
        return None
    words = [bare(name) for name in symbols]
    if any(word in NO_SYMBOLS for word in words) or any("_" in name or " " in name for name in symbols):
        return None
    if 3 * sum(word in ALSO_SYMBOLS for word in words) > len(words):
        return None
    frame = table.scan.with_row_index("row", 1).collect()
    columns = {name: (name, "close") for name in symbols}
    scan, empty = unfolded(frame, date=names[0], columns=columns)
    said = f"{len(symbols)} columns are the closes of as many symbols"
    if empty:
        said += f"; empty cells: {empty:,}, no rows"
    return replace(table, scan=scan, layout="a panel of sessions and symbols", said=said)
