"""What executions of two tracks earned, each on what was drawn for it: differences of means, clustered by symbol.

Two units. Trades: what each track chose to trade, so their scores before the decision say something of the track.
Opportunities (a symbol and week each, drawn by chance): what came of them, 0 where nothing was traded, so that what was
known before the draw is the same of both, and CUPED may take it out.
"""

import math
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.stats import cuped
from bq.trading.comparison import ALPHA

LEAST_CLUSTERS = 5  # symbols of either track, of fewer no interval is given
OPPORTUNITIES = pl.Schema({"track": pl.String, "symbol": pl.String, "value": pl.Float64, "score": pl.Float64})
Array = NDArray[np.float64]


class Unpaired(NamedTuple):
    """Means of two groups and their difference, for one look: interval of Student's t over clusters; NaN: none."""

    first: float
    base: float
    difference: float
    low: float
    high: float
    n_first: int
    n_base: int
    clusters: int
    saved: float = 0.0  # share of the variance within groups that CUPED took out


class Executed(NamedTuple):
    """A track's executions against the base's. None: there is nothing to compare."""

    track: str
    outcome: Unpaired | None  # P&L over risk of a closed trade
    win_rate: Unpaired | None  # of closed trades
    opportunity: Unpaired | None  # P&L over capital of an opportunity
    adjusted: Unpaired | None  # the same less what its score before the draw explains


def executed(trades: pl.DataFrame, opportunities: pl.DataFrame, track: str, base: str) -> Executed:
    """Compare the executions of two tracks.

    trades : `trades.TRADES`. opportunities : `OPPORTUNITIES`; value : P&L over the track's capital, score : known
    before the draw, null where it is not.
    """
    closed = trades.filter(pl.col("pnl").is_not_null())
    risked = closed.filter(pl.col("risk") > 0).with_columns(value=pl.col("pnl") / pl.col("risk"))
    won = closed.with_columns(value=(pl.col("pnl") > 0).cast(pl.Float64))
    return Executed(
        track,
        _of(risked, track, base),
        _of(won, track, base),
        _of(opportunities, track, base),
        _adjusted(opportunities, track, base),
    )


def _adjusted(units: pl.DataFrame, track: str, base: str) -> Unpaired | None:
    known = units.filter(pl.col("track").is_in([track, base]), pl.col("score").is_finite())
    first = (known["track"] == track).to_numpy()
    if min(first.sum(), (~first).sum()) < 2:
        return None
    found = cuped.adjust(known["value"].to_numpy(), known["score"].to_numpy(), first)
    told = _of(known.with_columns(value=pl.Series(found.values)), track, base)
    return told and told._replace(saved=found.saved)


def _of(units: pl.DataFrame, track: str, base: str) -> Unpaired | None:
    """Difference of the means of `value`, clustered by symbol."""
    own = units.filter(pl.col("track").is_in([track, base]))
    first = (own["track"] == track).to_numpy()
    if min(first.sum(), (~first).sum()) < 2:
        return None
    values = own["value"].to_numpy()
    means = float(values[first].mean()), float(values[~first].mean())
    clusters = min(own.filter(track=name)["symbol"].n_unique() for name in (track, base))
    reach = _reach(values, first, own["symbol"]) if clusters >= LEAST_CLUSTERS else math.nan
    apart = means[0] - means[1]
    sizes = int(first.sum()), int((~first).sum())
    return Unpaired(*means, apart, apart - reach, apart + reach, *sizes, own["symbol"].n_unique())


def _reach(values: Array, first: NDArray[np.bool_], symbols: pl.Series) -> float:
    """Half the interval: cluster-robust error (CR1) times Student's quantile with clusters − 1 degrees of freedom.

    Liang & Zeger 1986, doi:10.1093/biomet/73.1.13; Cameron & Miller 2015, doi:10.3368/jhr.50.2.317, section VI.
    """
    import statsmodels.api as sm

    groups = symbols.cast(pl.Categorical).to_physical().to_numpy()
    fitted = sm.OLS(values, sm.add_constant(first.astype(float))).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    low, high = fitted.conf_int(alpha=ALPHA)[1]
    return float(high - low) / 2.0
