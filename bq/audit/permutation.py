"""A user's own market with its days in another order: what is found there was found by chance."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq import market
from bq.core.errors import BadData
from bq.core.settings import Settings
from bq.market import MarketData
from bq.market.bars import SCHEMA, content_hash
from bq.market.calendars import sessions
from bq.market.matrix import BarMatrix, Days, bar_matrix, days_between
from bq.simulate.permuted import Bars, permuted

LEAST_SHARE = 0.95  # of the sessions, that a name must have a bar in
BLOCK_SESSIONS = 5  # a week: what lasts a few days lasts; a feature's window and a label rarely lie in one block
IN_ORDER = 0  # the seed that leaves the days as they were


@dataclass(frozen=True)
class Permuted:
    """Reads the market of the settings and exchanges its days, in blocks of so many sessions, by the seed."""

    block_sessions: int

    def __call__(self, settings: Settings, seed: int) -> MarketData:
        """The market of a seed."""
        return permuted_market(market.load(settings.market), block_sessions=self.block_sessions, seed=seed)


def permuted_market(data: MarketData, *, block_sessions: int, seed: int) -> MarketData:
    """The names with a bar in the first, the last and nearly every session, their days in another order.

    Prices are continuous through splits and dividends, and no level of them was quoted. Quotes of options and sectors
    are left out. seed : IN_ORDER for what the others are held against. Raises BadData where no name is left.
    """
    days = days_between(data.bars, sessions(data.calendar))
    p = bar_matrix(data.bars, days)
    there = p.has_bar
    chosen = there[:, 0] & there[:, -1] & (there.mean(axis=1) >= LEAST_SHARE)
    if not chosen.any():
        raise BadData(
            f"to be permuted, a name must have a bar in the first session ({days[0]}), in the last ({days[-1]}) and in "
            f"{LEAST_SHARE:.0%} of those between, but none of {len(chosen)} has. Choose dates (market.start, "
            "market.end) or names that were traded all along."
        )
    parts = (p.open, p.high, p.low, p.close, p.volume, _iv(data.bars, p, days))
    made = Bars._make(values[chosen].T for values in parts)
    if seed != IN_ORDER:
        made = permuted(made, block_sessions=block_sessions, seed=seed)
    names = np.array(p.symbols)[chosen]
    bars = pl.concat([_bars(str(name), days, made, place) for place, name in enumerate(names)])
    return replace(
        data,
        bars=bars,
        quotes=data.quotes.clear(),
        chain_data=None,
        sectors={},
        source=data.source if seed == IN_ORDER else "simulated",
        data_hash=content_hash(bars),
    )


def _iv(bars: pl.DataFrame, p: BarMatrix, days: Days) -> NDArray[np.float64]:
    """Implied volatility in the places of the matrix; NaN where there is none."""
    values = np.full(p.close.shape, np.nan)
    row = bars["symbol"].replace_strict({name: place for place, name in enumerate(p.symbols)}, return_dtype=pl.Int64)
    column = np.searchsorted(days, bars["session"].to_numpy().astype("datetime64[D]"))
    values[row.to_numpy(), column] = bars["iv"].fill_null(np.nan).to_numpy()
    return values


def _bars(name: str, days: Days, made: Bars, place: int) -> pl.DataFrame:
    """The bars of one name, by the bar contract."""
    columns = {field: pl.Series(values[:, place]).fill_nan(None) for field, values in made._asdict().items()}
    frame = pl.DataFrame({"session": pl.Series(days).cast(pl.Date), **columns})
    frame = frame.filter(pl.col("close").is_not_null())
    whole = frame.with_columns(symbol=pl.lit(name), adj=pl.lit(1.0), quoted=pl.lit(False))
    return whole.select(pl.col(field).cast(dtype) for field, dtype in SCHEMA.items())
