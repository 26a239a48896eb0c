"""Stooq's text files: `<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>`, adjusted prices."""

from dataclasses import replace

from bq.market.bars import Rejected
from bq.market.recognisers.cells import by_bare
from bq.market.tables import Table


def recognise(table: Table) -> Table | None:
    """Daily rows; a file of shorter periods is refused."""
    names = by_bare(table.names)
    if not {"ticker", "per", "date", "time", "close"} <= set(names):
        return None
    periods = table.scan.select(names["per"]).unique().collect(engine="streaming")[names["per"]].drop_nulls()
    if len(other := periods.filter(periods != "D")):
        raise Rejected("not_daily", f"bars must be daily (<PER> D), but some have <PER> {other[0]}.")
    return replace(table, scan=table.scan.drop(names["time"], names["per"]), layout="Stooq")
