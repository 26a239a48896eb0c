"""Investing.com's historical data: `"Date","Price","Open","High","Low","Vol.","Change %"` with `4,783.83`, `40.44M`.

Its editions write day and month in either order, so that only the dates themselves (or `market.dates`) say which.
"""

from dataclasses import replace

from bq.market.recognisers.cells import by_bare, counted, money
from bq.market.tables import Table


def recognise(table: Table) -> Table | None:
    """The table with names and numbers as the general reader takes them."""
    names = by_bare(table.names)
    if not {"date", "price", "open", "high", "low", "change"} <= set(names):
        return None
    prices = [names[name] for name in ("price", "open", "high", "low")]
    volume = [counted(names["vol"])] if "vol" in names else []
    scan = table.scan.with_columns(*map(money, prices), *volume).rename({names["price"]: "Close"})
    return replace(table, scan=scan, layout="Investing.com")
