"""Chains whose strikes are written as 1,000 times what they are: OptionMetrics (`strike_price`) and ThetaData v2."""

from dataclasses import replace

import polars as pl

from bq.market.recognisers.cells import by_bare
from bq.market.tables import Table

OPTION_METRICS = {"exdate", "cpflag", "strikeprice", "bestbid", "bestoffer"}
ASIDE = ("lastdate", "root")  # of the last trade; empty in newer years
THETA_DATA = {"root", "expiration", "strike", "right", "bid", "ask", "date", "msofday"}


def recognise(table: Table) -> Table | None:
    """The table with names and numbers as the general reader takes them."""
    names = by_bare(table.names)
    if set(names) >= OPTION_METRICS:
        return _option_metrics(table, names)
    if set(names) >= THETA_DATA:
        return replace(table, scan=_divided(table.scan, names["strike"]), layout="ThetaData")
    return None


def _option_metrics(table: Table, names: dict[str, str]) -> Table:
    """`symbol` (`SPXW 190426C800000`) begins with the root; `ticker`, where it is, is the underlying."""
    scan = _divided(table.scan, names["strikeprice"]).rename({names["strikeprice"]: "strike"})
    scan = scan.drop(names[bare] for bare in ASIDE if bare in names)
    if "symbol" in names:
        root = pl.col(names["symbol"]).cast(pl.String).str.extract(r"^\s*([A-Z][A-Z0-9]*?)[ .]")
        scan = scan.with_columns(root=root).drop(names["symbol"])
    return replace(table, scan=scan, layout="OptionMetrics")


def _divided(scan: pl.LazyFrame, strike: str) -> pl.LazyFrame:
    return scan.with_columns(pl.col(strike).cast(pl.Float64, strict=False) / 1000)
