"""Alpha Vantage's daily series with numbered names: `date,1. open,2. high,3. low,4. close,5. adjusted close,…`."""

import re
from dataclasses import replace

from bq.market.tables import Table

NUMBERED = r"^\d+[ab]?\. "


def recognise(table: Table) -> Table | None:
    """The table with names and numbers as the general reader takes them."""
    bare = {name: re.sub(NUMBERED, "", name) for name in table.names}
    if not any(name != short and short == "close" for name, short in bare.items()):
        return None
    columns = {short: "date" if short in ("", "index") else short for short in bare.values()}
    return replace(
        table, scan=table.scan.rename({name: columns[short] for name, short in bare.items()}), layout="Alpha Vantage"
    )
