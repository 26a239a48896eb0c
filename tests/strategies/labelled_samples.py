"""Labelled tables of our own making: butterflies as another system would have kept them."""

import datetime as dt

import numpy as np
import polars as pl

from bq import strategies
from bq.core import params, paths
from bq.market.calendars import sessions
from bq.strategies.butterfly.features import BUTTERFLY_V2

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
BUTTERFLY = strategies.get("butterfly")
QUICK = "market.source=labelled gate.draws=1000 learning.folds=3 learning.compare=[] learning.model=elastic_net"


def settings_of(overrides: str = ""):
    """The shipped parameters, with a labelled table in the place of bars."""
    return params.load(paths.parameters("butterfly"), BUTTERFLY.settings, overrides=f"{QUICK} {overrides}")


def weeks(count: int, *, first: dt.date = dt.date(2012, 1, 2)) -> list[dt.date]:
    """The last session of each of `count` weeks from `first`."""
    days = sessions("XNYS").filter(pl.col("session") >= first)["session"]
    last = days.to_frame().group_by(pl.col("session").dt.truncate("1w").alias("week")).agg(pl.col("session").max())
    return last.sort("week")["session"].head(count).to_list()


def table(*, sessions: int = 330, symbols: int = 10, strength: float = 0.0, seed: int = 0) -> pl.DataFrame:
    """Weekly decisions, held 25 days: `vol_mispricing` carries `strength` of the ROI's spread, the score nothing.

    All 22 features in their units; the mean ROI is .02.
    """
    rng = np.random.default_rng(seed)
    days, n = weeks(sessions), sessions * symbols
    signal = rng.standard_normal(n)
    roi = np.maximum(0.02 + 0.35 * (strength * signal + np.sqrt(1 - strength**2) * rng.standard_normal(n)), -1.0)
    noise = {name: np.abs(rng.standard_normal(n)) * 0.1 + 0.2 for name in BUTTERFLY_V2.columns}
    date = [day for day in days for _ in range(symbols)]
    return pl.DataFrame(
        {
            "symbol": [f"S{number:02d}" for number in range(symbols)] * sessions,
            "date": date,
            "exit_date": [day + dt.timedelta(days=18) for day in date],
            "holding_days": [25] * n,
            "type": rng.choice(["CALL", "PUT", "IRON"], n),
            "total_score": 50 + 10 * rng.standard_normal(n),
            **noise,
            "vol_mispricing": 10.0 * signal,
            "roi": roi,
        }
    )
