"""The data that rows are measured on: the bundled prices and the shipped parameters."""

import datetime as dt
import functools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq import market, strategies
from bq.core import db, params, paths
from bq.market import MarketData
from bq.strategies.butterfly.settings import ButterflySettings
from bq.strategies.contract import Strategy
from bq.strategies.events import Wanted


@functools.cache
def settings() -> ButterflySettings:
    """parameters/butterfly.yaml as shipped, whatever the caller asked for: figures are compared over time."""
    return params.load(paths.parameters("butterfly"), ButterflySettings)


@functools.cache
def bars() -> MarketData:
    """The bundled market from the parameters' first session on."""
    return market.load(settings().market)


@contextmanager
def home() -> Iterator[Path]:
    """An empty home that is no one's. It writes to disk as a user's does, which one of `bq.core.world.own` need not."""
    asked = ("BQ_DATABASE_URL", "STRATEGY", "PARAMS", "SET", "PYTHONDONTWRITEBYTECODE")
    with tempfile.TemporaryDirectory(prefix="bq-bench-") as folder, mock.patch.dict(os.environ, {"BQ_HOME": folder}):
        for name in asked:
            os.environ.pop(name, None)
        db.close()
        try:
            yield Path(folder)
        finally:
            db.close()


def strategy() -> Strategy:
    """The butterfly strategy."""
    return strategies.get("butterfly")


def closes(symbol: str = "SPX") -> NDArray[np.float64]:
    """Closes of one symbol, oldest first."""
    return bars().bars.filter(pl.col("symbol") == symbol)["close"].to_numpy()


def stocks() -> list[str]:
    """The bundled stocks; all of them have the same sessions."""
    return sorted(set(bars().bars["symbol"]) - {"SPX", "IXIC"})


def wanted(symbols: int, *, every_weeks: int) -> Wanted:
    """The schedule of the first `symbols` stocks, every so many weeks."""
    chosen = settings().events.model_copy(update={"every_weeks": every_weeks})
    days: dict[str, list[dt.date]] = dict(
        strategy().table.schedule(bars(), settings().model_copy(update={"events": chosen}))
    )
    return {symbol: days[symbol] for symbol in stocks()[:symbols]}


def events(symbols: int, *, every_weeks: int) -> pl.DataFrame:
    """Events as training takes them, each of weight 1; nothing is stored."""
    built = strategy().table.build(bars(), settings(), wanted(symbols, every_weeks=every_weeks))
    return built.events.with_columns(weight=pl.lit(1.0, pl.Float32)).sort("t0", "symbol")
