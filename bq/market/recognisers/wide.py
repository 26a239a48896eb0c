"""Panels with a row for each session and a column of closes for each symbol: `Date,AAPL,MSFT,…`."""

from dataclasses import replace

from bq.market.recognisers.unfold import unfolded
from bq.market.tables import Table, bare

DATES = ("date", "session", "datetime", "timestamp", "day", "time", "")
NO_SYMBOLS = (  # names of columns that are written in capitals, and hold no symbol's closes
    *("OPEN", "HIGH", "LOW", "CLOSE", "LAST", "PRICE", "SETTLE", "VOLUME", "VOL", "VWAP", "ADJ CLOSE", "BID", "ASK"),
    *("RETURN", "RETURNS", "RET", "PRC", "SYMBOL", "TICKER", "NAME", "OPENINT", "TURNOVER", "CHANGE", "CHG"),
)


def recognise(table: Table) -> Table | None:
    """Unfold to one row a symbol and session; an empty cell is no row.

    Columns count as symbols if there are two or more, all in capitals (`BRK.B`, `^SPX`, `BTC-USD`), and none of them
    is a word for a price or a number of something else.
    """
    names = table.names
    if not names or bare(names[0]) not in DATES or len(names) < 3:
        return None
    symbols = names[1:]
    if set(table.columns.values()) & set(names) or not all(name and name == name.upper() for name in symbols):
        return None
    if any(name in NO_SYMBOLS or "_" in name or " " in name for name in symbols):
        return None
    frame = table.scan.with_row_index("row", 1).collect()
    columns = {name: (name, "close") for name in symbols}
    scan, empty = unfolded(frame, date=names[0], columns=columns)
    said = f"{len(symbols)} columns are the closes of as many symbols"
    if empty:
        said += f"; empty cells: {empty:,}, no rows"
    return replace(table, scan=scan, layout="a panel of sessions and symbols", said=said)
