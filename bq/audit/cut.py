"""A market as it was at the close of a session, in another unit of price."""

import datetime as dt
from dataclasses import replace

import polars as pl

from bq.market import MarketData

UNIT = 2.0  # a power of two, by which every product is exact


def cut(market: MarketData, session: dt.date) -> MarketData:
    """The market without any later bar or quote, its continuous prices in another unit.

    Only ratios of continuous prices mean anything: by how much they are multiplied follows from splits and dividends
    to come, so that what depends on it knows them.
    """
    known = pl.col("session") <= session
    bars = market.bars.filter(known).with_columns(pl.col("adj") * UNIT)
    return replace(market, bars=bars, quotes=market.quotes.filter(known), data_hash="")
