"""Daily bars that lie inside installed packages: nothing is downloaded, nothing is written.

- 20 US stocks, 1990–2022, from skfolio (BSD-3): back-adjusted closes only, hence `quoted` is false.
- `SPX`, the S&P 500 index, 1990–2022, closes from skfolio; open, high, low and volume 1999–2018 from arch (NCSA);
  `iv` 2014–2018 is the VIX of arch divided by 100.
- `IXIC`, the Nasdaq Composite index, 1999–2018, from arch.

The packages' own loaders read the same files into pandas; reading them here costs neither pandas nor the import of
skfolio, and a close agrees with theirs to the last bit (tested).
"""

import importlib.util
from pathlib import Path

import polars as pl

from bq.core.errors import BadData
from bq.core.settings import Market
from bq.market.bars import FINDINGS, rows

AGREEMENT = 1e-4  # relative difference up to which two sources describe the same bar


def _read(package: str, name: str) -> pl.DataFrame:
    """Read one CSV file of a package, with its date column as `session`."""
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / name if spec and spec.origin else None
    if path is None or not path.is_file():
        raise BadData(
            f"bundled data: package {package} must hold {name}, but it does not. "
            "Install the versions of requirements.lock, or bring files (market.source: files)."
        )
    frame = pl.read_csv(path, infer_schema_length=None, null_values=["."])
    formats = "%Y-%m-%d" if frame["Date"][0][4] == "-" else "%m/%d/%Y"
    return frame.with_columns(pl.col("Date").str.to_date(formats)).rename({"Date": "session"})


def _arch_index(name: str) -> pl.DataFrame:
    frame = _read("arch", f"data/{name}/{name}.csv.gz")
    return frame.select(
        "session", *(pl.col(column.title()).alias(column) for column in ("open", "high", "low", "close", "volume"))
    )


def stocks() -> pl.DataFrame:
    """Back-adjusted closes of 20 US stocks: `session, symbol, close`."""
    wide = _read("skfolio", "datasets/data/sp500_dataset.csv.gz")
    return wide.unpivot(index="session", variable_name="symbol", value_name="close").with_columns(quoted=False)


def spx() -> pl.DataFrame:
    """The S&P 500 index: closes throughout, the rest of the bar where arch has the same close, VIX as `iv`."""
    closes = _read("skfolio", "datasets/data/sp500_index.csv.gz").rename({"SP500": "close"})
    agrees = (pl.col("close") / pl.col("close_arch") - 1).abs() <= AGREEMENT
    columns = ("open", "high", "low", "volume")
    return (
        closes.join(_arch_index("sp500"), on="session", how="left", suffix="_arch")
        .join(_read("arch", "data/vix/vix.csv.gz"), on="session", how="left")
        .select(
            "session",
            "close",
            *(pl.when(agrees).then(column) for column in columns),
            symbol=pl.lit("SPX"),
            iv=pl.col("vix") / 100,
            quoted=True,
        )
    )


def ixic() -> pl.DataFrame:
    """The Nasdaq Composite index."""
    return _arch_index("nasdaq").with_columns(symbol=pl.lit("IXIC"), quoted=True)


def read(settings: Market) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All bundled rows (`bars.ROWS`), and no findings. `settings` are not looked at: it is quicker to read all."""
    parts = [
        rows(stocks(), file="skfolio sp500_dataset"),
        rows(spx(), file="skfolio sp500_index"),
        rows(ixic(), file="arch nasdaq"),
    ]
    return pl.concat(parts), FINDINGS.to_frame()
