"""Daily bars that lie inside installed packages: nothing is downloaded, nothing is written.

- 20 US stocks, 1990–2022, from skfolio (BSD-3): back-adjusted closes only, hence `quoted` is false.
- `SPX`, the S&P 500 index, 1990–2022: closes from skfolio; open, high, low and volume of 1999–2018 from arch (NCSA);
  `iv` from January 2014 to 3 January 2019 is the VIX in arch divided by 100 (its close is stamped 15 minutes after
  that of the stock market).
- `IXIC`, the Nasdaq Composite index, 1999–2018, from arch.

Where whole bars are needed (source `bundled_bars`), five stocks take the place of the twenty: AAPL, FB, GOOG, IBM and
MSFT, 2000 to March 2013, from bokeh_sampledata (BSD-3). Their prices and volumes are as quoted at the time; `adj` is
the adjusted close over the close, which steps at splits (AAPL 2000-06-21 and 2005-02-28, MSFT 2003-02-18, each two for
one) and at dividends.

The packages' own loaders read the same files into pandas. Reading them here needs neither pandas nor the import of
skfolio; the prices are theirs to the last bit.
"""

import importlib.util
from pathlib import Path

import polars as pl

from bq.core.errors import BadData
from bq.core.files import read_csv
from bq.core.settings import Market
from bq.market.bars import rows
from bq.market.sources import Batch, picked

FILES = {  # package, path inside it, form of its dates
    "stocks": ("skfolio", "datasets/data/sp500_dataset.csv.gz", "%Y-%m-%d"),
    "spx": ("skfolio", "datasets/data/sp500_index.csv.gz", "%Y-%m-%d"),
    "spx_bars": ("arch", "data/sp500/sp500.csv.gz", "%m/%d/%Y"),
    "ixic_bars": ("arch", "data/nasdaq/nasdaq.csv.gz", "%m/%d/%Y"),
    "vix": ("arch", "data/vix/vix.csv.gz", "%m/%d/%Y"),
    "stock_bars": ("bokeh_sampledata", "_data/stocks.csv.gz", "%Y-%m-%d"),
}
AGREEMENT = 1e-4  # relative difference of closes up to which two sources describe the same bar


def read(settings: Market) -> Batch:
    """The bundled rows asked for, and no findings. Reading all is quicker than looking at `settings` first."""
    parts = [
        rows(_stocks(), file="skfolio sp500_dataset"),
        rows(_spx(), file="skfolio sp500_index"),
        rows(_ixic(), file="arch nasdaq"),
    ]
    return picked(pl.concat(parts), settings)


def read_bars(settings: Market) -> Batch:
    """The bundled rows asked for with open, high, low and volume, and the indices."""
    parts = [
        rows(_stock_bars(), file="bokeh_sampledata stocks"),
        rows(_spx(), file="skfolio sp500_index"),
        rows(_ixic(), file="arch nasdaq"),
    ]
    return picked(pl.concat(parts), settings)


def _stock_bars() -> pl.DataFrame:
    table = _table("stock_bars").rename({"Ticker": "symbol"}).rename(str.lower)
    return table.with_columns(pl.col("volume").cast(pl.Float64), adj=pl.col("adj close") / pl.col("close"))


def _stocks() -> pl.DataFrame:
    wide = _table("stocks")
    return wide.unpivot(index="session", variable_name="symbol", value_name="close").with_columns(quoted=False)


def _spx() -> pl.DataFrame:
    """Closes throughout, the rest of the bar where the second source has the same close."""
    closes = _table("spx").rename({"SP500": "close"}).join(_table("vix"), on="session", how="left")
    both = closes.join(_table("spx_bars").rename(str.lower), on="session", how="left", suffix="_of_bar")
    agrees = (pl.col("close_of_bar") / pl.col("close") - 1).abs() <= AGREEMENT
    rest = [pl.when(agrees).then(name).alias(name) for name in ("open", "high", "low", "volume")]
    return both.select("session", "close", *rest, symbol=pl.lit("SPX"), iv=pl.col("vix") / 100)


def _ixic() -> pl.DataFrame:
    return _table("ixic_bars").rename(str.lower).with_columns(symbol=pl.lit("IXIC"))


def _table(name: str) -> pl.DataFrame:
    """One of `FILES`, with its date column as `session`; `.` means that there is no value."""
    package, path, form = FILES[name]
    spec = importlib.util.find_spec(package)
    file = Path(spec.origin).parent / path if spec and spec.origin else None
    if file is None or not file.is_file():
        raise BadData(
            f"bundled data: package {package} must hold {path}, but it does not. "
            "Install the versions of requirements.lock, or bring your own files (market.source: files)."
        )
    frame = read_csv(file, infer_schema_length=None, null_values=["."])
    return frame.with_columns(pl.col("Date").str.to_date(form)).rename({"Date": "session"})
