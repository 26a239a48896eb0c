"""CRSP's daily stock file (WRDS): `PERMNO,date,TICKER,PRC,VOL,OPENPRC,ASKHI,BIDLO,CFACPR,…`.

A price that is the mean of bid and ask, where nobody traded, is written as a negative number, and 0 means that there
is none. `CFACPR` divides prices into those adjusted for splits (not for dividends), `CFACSHR` multiplies shares. A
security is its PERMNO: tickers are given to one company after another, and companies change theirs.
"""

from dataclasses import replace

import polars as pl

from bq.market.recognisers.cells import by_bare
from bq.market.tables import Table

PLACES = {
    "prc": "close",
    "dlyprc": "close",
    "openprc": "open",
    "dlyopen": "open",
    "askhi": "high",
    "dlyhigh": "high",
    "bidlo": "low",
    "dlylow": "low",
    "vol": "volume",
    "dlyvol": "volume",
    "date": "session",
    "dlycaldt": "session",
}
PRICES = ("open", "high", "low", "close")
FACTORS = ("cfacpr", "dlycumfacpr")


def recognise(table: Table) -> Table | None:
    """Bars of each PERMNO under its newest ticker (`TICKER.PERMNO` where several have the same one)."""
    names = by_bare(table.names)
    if "permno" not in names or not {"prc", "dlyprc"} & set(names):
        return None
    places = {names[name]: place for name, place in PLACES.items() if name in names}
    factor = next((names[name] for name in FACTORS if name in names), None)
    scan = table.scan.with_columns(_price(name) for name, place in places.items() if place in PRICES)
    if factor:
        scan = scan.with_columns(adj=1 / _number(factor))
    unused = [name for bare, name in names.items() if bare in ("dlyclose", "ticker", *FACTORS)]
    scan = _identified(scan, names).drop(unused).rename(places)
    return replace(table, scan=scan, layout="CRSP")


def _price(name: str) -> pl.Expr:
    price = _number(name).abs()
    return pl.when(price > 0).then(price).alias(name)


def _number(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Float64, strict=False)


def _identified(scan: pl.LazyFrame, names: dict[str, str]) -> pl.LazyFrame:
    """Rows with a column `symbol` in place of PERMNO."""
    permno = pl.col(names["permno"]).cast(pl.String).str.strip_chars()
    if "ticker" not in names:
        return scan.with_columns(symbol=permno).drop(names["permno"])
    date = names.get("date") or names["dlycaldt"]
    named = (
        scan.filter(pl.col(names["ticker"]).is_not_null())
        .group_by(permno=permno)
        .agg(ticker=pl.col(names["ticker"]).sort_by(date).last())
        .collect(engine="streaming")
    )
    shared = pl.col("ticker").is_duplicated()
    symbols = named.select(
        "permno", symbol=pl.when(shared).then(pl.format("{}.{}", "ticker", "permno")).otherwise("ticker")
    )
    return (
        scan.with_columns(permno_=permno)
        .join(symbols.lazy(), left_on="permno_", right_on="permno", how="left", maintain_order="left")
        .with_columns(pl.coalesce("symbol", "permno_").alias("symbol"))
        .drop("permno_", names["permno"])
    )
