"""Nasdaq.com's historical quotes: `Date,Close/Last,Volume,Open,High,Low` with `01/31/2020` and `$185.92`."""

from dataclasses import replace

from bq.market.recognisers.cells import by_bare, money
from bq.market.tables import Table


def recognise(table: Table) -> Table | None:
    """The table with names and numbers as the general reader takes them."""
    names = by_bare(table.names)
    if "closelast" not in names or "date" not in names:
        return None
    numbers = [names[name] for name in ("closelast", "volume", "open", "high", "low") if name in names]
    scan = table.scan.with_columns(money(name) for name in numbers).rename({names["closelast"]: "Close"})
    return replace(table, scan=scan, dates=table.dates or "mdy", layout="Nasdaq.com")
