r"""MetaTrader 5's export: `<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>`."""

import re
from dataclasses import replace

from bq.market.bars import Rejected
from bq.market.recognisers.cells import by_bare
from bq.market.tables import Table

PERIOD = r"_?(Daily|D1)(_\d{8,12}_\d{8,12})?$"  # EURUSD_Daily_202001020000_202012310000


def recognise(table: Table) -> Table | None:
    """Daily rows, of the symbol before the period in the file's name; a file with times is refused.

    Ticks are no volume: `<VOL>` alone is read.
    """
    names = by_bare(table.names)
    if not {"date", "close", "tickvol", "spread"} <= set(names):
        return None
    if "time" in names:
        raise Rejected("not_daily", "bars must be daily, but the file has a column <TIME>. Export the period D1.")
    return replace(table, stem=re.sub(PERIOD, "", table.stem) or table.stem, layout="MetaTrader 5")
