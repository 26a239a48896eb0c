"""The same data as quoted prices with `adj` and as back-adjusted prices are the same market.

Back-adjusted as vendors do it: prices for splits and dividends, volume for splits alone. Of what a day's trading was
worth in money such data have lost the dividends since: with dividends, what is measured or sized by it is not compared.

Exchange strikes and a least price are set on the price of the day, which back-adjusted data do not have: butterflies
are compared from the last split on, where both say the same, and breakouts without a least price.
"""

import numpy as np
import polars as pl
import pytest
from breakout_samples import breakout_settings, random_market
from event_samples import build, market_of, walk
from forecast_samples import SESSIONS, built, panel_bars, session

from bq import strategies
from bq.market.bars import continuous

PRICES = ("open", "high", "low", "close")
KEPT = ("session", "t0", "t1", "t1_due")
TURNOVER = ("dollar_vol_20", "amihud_20")  # factors of the money that changed hands
SIZED = {"quantity", "outcome", "decision", "taken", "paid"}  # what an order, at most a share of it, comes to
yields = pytest.mark.parametrize("paid", [0.0, 0.01], ids=["no-dividends", "dividends"])
ratios = pytest.mark.parametrize("ratio", [10.0, 1 / 7, 1.5], ids=["ten-for-one", "one-for-seven", "three-for-two"])


def as_quoted(bars, at, ratio, *, paid=0.01, symbol=None):
    """Back-adjusted bars as they were quoted: `ratio` new shares for an old one at session `at`, `paid` a year."""
    touched = pl.lit(True) if symbol is None else pl.col("symbol") == symbol
    before = touched & (pl.col("session") < at)
    year = pl.col("session").dt.year() - pl.col("session").dt.year().max()
    adj = pl.when(before).then(1.0 / ratio).otherwise(1.0) * pl.when(touched).then(1.0 + paid).otherwise(1.0).pow(year)
    shares = pl.when(before).then(1.0 / ratio).otherwise(1.0)
    bars = bars.with_columns(adj=adj)
    return bars.with_columns(*(pl.col(name) / pl.col("adj") for name in PRICES), volume=pl.col("volume") * shares)


def back_adjusted(bars, at, ratio, *, symbol=None):
    """The twin of what `as_quoted` gives: no adjustment is left to be made."""
    before = (pl.lit(True) if symbol is None else pl.col("symbol") == symbol) & (pl.col("session") < at)
    shares = pl.when(before).then(1.0 / ratio).otherwise(1.0)
    return bars.with_columns(*(continuous(name) for name in PRICES), volume=pl.col("volume") / shares, adj=1.0)


def assert_same(one, other, *, but=()):
    assert len(one) and one.columns == other.columns
    for name in one.columns:
        if name in but:
            continue
        if one[name].dtype.is_float():
            np.testing.assert_allclose(one[name], other[name], rtol=2e-5, atol=1e-6, err_msg=name)
        else:
            assert one[name].equals(other[name]), name


@ratios
def test_a_ten_for_one_split_is_no_burst_of_volume(ratio):
    """Constant turnover in constant shares: the ratio to the mean of the 20 sessions before is 1 on every day."""
    from bq.analysis.technical import measures, volume_ratio
    from bq.market.calendars import sessions
    from bq.market.matrix import bar_matrix, days_between

    bars = walk("A", 120, seed=3).with_columns(volume=1e6, adj=1.0)
    quoted = as_quoted(bars, bars["session"][60], ratio)
    quoted = quoted.with_columns(open="close", high="close", low="close")
    laid = bar_matrix(quoted, days_between(quoted, sessions("XNYS")))
    m = measures(laid, laid.close[0])
    np.testing.assert_allclose(volume_ratio(m, laid.volume.T)[20:, 0], 1.0, rtol=1e-9)


@ratios
@pytest.mark.parametrize("quoted", [True, False], ids=["quoted", "never-quoted"])
def test_butterflies_are_the_same(ratio, quoted):
    plain = walk("TWIN", 900, seed=11).with_columns(open="close", high="close", low="close", quoted=pl.lit(quoted))
    split = (plain["session"][800], ratio)
    bars = as_quoted(plain, *split)  # from 755 on it is the last year: no dividend any more
    days = plain["session"][[801, 805, 818] if quoted else [700, 790, 801, 805, 818]].to_list()
    one, other = (build(frame, {"TWIN": days}).events for frame in (bars, back_adjusted(bars, *split)))
    assert_same(one, other)


@yields
@ratios
def test_breakouts_are_the_same(ratio, paid):
    breakout = strategies.get("breakout")
    settings = breakout_settings(eligibility={"min_price": 0.0})
    market = random_market(2)
    split = (market.bars["session"].unique().sort()[300], ratio)
    bars = as_quoted(market.bars, *split, symbol="S4", paid=paid)
    found = []
    for frame in (bars, back_adjusted(bars, *split, symbol="S4")):
        data = market_of(frame, source="simulated")
        found.append(breakout.table.build(data, settings, breakout.table.schedule(data, settings)).events)
    found = [frame.with_columns(paid=pl.col("quantity") * pl.col("entry_price")) for frame in found]
    in_quoted_money = {"quantity", "entry_price", "exit_price", "close", "atr", "stop"}
    assert_same(*(frame.sort("session", "symbol") for frame in found), but=in_quoted_money | (SIZED if paid else set()))


@yields
@ratios
def test_forecasts_are_the_same(ratio, paid):
    split = (session(SESSIONS - 15), ratio)
    bars = as_quoted(panel_bars(), *split, symbol="N3", paid=paid)
    one, other = (built(frame)[0] for frame in (bars, back_adjusted(bars, *split, symbol="N3")))
    lost = {name for name in one.columns if paid and name.startswith(TURNOVER)}
    assert_same(one, other, but=lost)
