"""Implied volatility from quotes: parity forward, IV of bid, mid and ask, smile, and IV at a constant maturity.

All functions take the quotes (`bq.market.chains.quotes.SCHEMA`) of one snapshot or of many at once, and never look
across snapshots. Vendors' volatilities and the session's close play no part. Single-stock options are American: parity
holds for them up to the early-exercise premium, which is small near the money, and their implied volatility is
overstated by it.

Time to expiry is ACT/365 in calendar days from the quote's session to the expiry; a PM-settled option ends at the
close, an AM-settled one at the open of its expiry, 6.5 hours less. A snapshot's time of day is not in the data: it is
taken to be the close; at 30 days an hour's error is less than 0.1% of the volatility. On the day of expiry nothing is
solved.
"""

import datetime as dt
import math
from collections.abc import Sequence

import polars as pl

from bq.analysis.options import DAYS, implied_volatility

SNAPSHOT = ("underlying", "session")
SERIES = (*SNAPSHOT, "root", "expiry")  # one expiry of one root: SPX and SPXW can share a date, not a settlement
AM_LOSS_DAYS = 6.5 / 24  # from the open to the close of the day of expiry
NEAREST = 10  # strikes whose median is the forward
MIN_PAIRS = 3
PRICES = {"iv_bid": pl.col("bid"), "iv_mid": (pl.col("bid") + pl.col("ask")) / 2, "iv_ask": pl.col("ask")}

Rate = float | pl.Expr  # a number, or an expression over the quotes with one value for each snapshot


def years() -> pl.Expr:
    """Time to expiry of a quote in years, from its `session`, `expiry` and `settlement`."""
    lost = pl.when(pl.col("settlement") == "AM").then(AM_LOSS_DAYS).otherwise(0.0)
    return (((pl.col("expiry") - pl.col("session")).dt.total_days() - lost) / DAYS).alias("years")


def forward(quotes: pl.DataFrame, rate: Rate) -> pl.DataFrame:
    """Forward price of each expiry by put–call parity, and the dividend yield that it implies.

    quotes : DataFrame of quotes with bid and ask > 0. rate : decimal a year, continuously compounded.

    Returns DataFrame `underlying, session, root, expiry, years, rate, spot, pairs, forward, dividend_yield`, sorted.
    forward : median of K + e^(rT)·(C − P) over the 10 strikes at which call and put mids are nearest to each other,
    so that neither a wrong quote nor a wrong spot moves it; null below 3 such `pairs`. dividend_yield : carry that
    explains spot → forward, a year; noisy within a week of expiry, null on its day.
    """
    mids = quotes.with_columns(years(), mid=PRICES["iv_mid"], rate=rate if isinstance(rate, pl.Expr) else pl.lit(rate))
    call, put = (mids.filter(pl.col("right") == right) for right in ("call", "put"))
    gap = pl.col("mid") - pl.col("mid_put")
    parity = pl.col("strike") + (pl.col("rate") * pl.col("years")).exp() * gap
    pairs = call.join(
        put.select(*SERIES, "strike", "mid"), on=[*SERIES, "strike"], suffix="_put", maintain_order="left"
    )
    near = pairs.filter(gap.abs().rank("ordinal").over(SERIES) <= NEAREST)
    solved = near.group_by(SERIES).agg(pairs=pl.len(), forward=parity.median())
    carry = pl.col("rate") - (pl.col("forward") / pl.col("spot")).log() / pl.col("years")
    return (
        mids.group_by(SERIES)
        .agg(pl.col("years", "rate", "spot").first())
        .join(solved, on=SERIES, how="left")
        .with_columns(pl.col("pairs").fill_null(0), pl.when(pl.col("pairs") >= MIN_PAIRS).then("forward"))
        .with_columns(dividend_yield=pl.when(pl.col("years") > 0).then(carry))
        .sort(SERIES)
    )


def solve_iv(quotes: pl.DataFrame, rate: Rate) -> pl.DataFrame:
    """Implied volatility of each quote's bid, mid and ask on the parity forward of its expiry.

    quotes, rate : as for `forward`.

    Returns `quotes` with `years`, `rate`, `forward`, `out_of_the_money` (of call and put at one strike the side to
    prefer: its price is all time value, and its spread the narrower) and `iv_bid, iv_mid, iv_ask`, decimals a year.
    Null, never 0, where there is none: no forward, the day of expiry, a price outside its no-arbitrage bounds (as deep
    in-the-money bids often are) or one without enough time value.
    """
    forwards = forward(quotes, rate).select(*SERIES, "years", "rate", "forward")
    call = pl.col("right") == "call"
    unsolved = quotes.drop("years", "rate", "forward", strict=False)
    solved = unsolved.join(forwards, on=SERIES, how="left", maintain_order="left").with_columns(
        out_of_the_money=call == (pl.col("strike") >= pl.col("forward"))
    )
    columns = solved.select(
        spot=pl.col("forward") * (-pl.col("rate") * pl.col("years")).exp(),
        strike="strike",
        years="years",
        rate="rate",
        is_call=call,
    )
    spot, strike, years, rates, is_call = (column.to_numpy() for column in columns)
    implied = {
        name: pl.Series(
            name,
            implied_volatility(
                solved.select(price).to_series().to_numpy(), spot, strike, years, rate=rates, is_call=is_call
            ),
        )
        for name, price in PRICES.items()
    }
    return solved.with_columns(series.fill_nan(None) for series in implied.values())


def smile(
    solved: pl.DataFrame, expiry: dt.date | None = None, *, moneyness: Sequence[float] = (0.96, 1.0, 1.04)
) -> pl.DataFrame:
    """Implied volatility of the mid at given moneynesses, from the out-of-the-money quotes of each expiry.

    solved : from `solve_iv`. expiry : None for all. moneyness : strike / forward.

    Returns DataFrame `underlying, session, root, expiry, years, forward, moneyness, iv`, sorted. Linear in
    log-moneyness between the strikes on either side; null where there is none on one of them. The skew of an expiry
    is its IV at 0.96 less that at 1.04.
    """
    series = solved if expiry is None else solved.filter(pl.col("expiry") == expiry)
    usable = pl.col("out_of_the_money") & pl.col("iv_mid").is_not_null()
    distance = pl.when(usable).then((pl.col("strike") / pl.col("forward")).log())
    grouped = series.with_columns(distance=distance).sort("distance").group_by(SERIES)
    at = {str(float(level)): _linear("distance", "iv_mid", at=math.log(level)) for level in moneyness}
    index = [*SERIES, "years", "forward"]
    return (
        grouped.agg(pl.col("years", "forward").first(), **at)
        .unpivot(index=index, on=list(at), variable_name="moneyness", value_name="iv")
        .with_columns(pl.col("moneyness").cast(pl.Float64))
        .sort(*SERIES, "moneyness")
    )


def constant_maturity(points: pl.DataFrame, *, days: float = 30) -> pl.DataFrame:
    """Implied volatility at one time to expiry, linear in total variance between the expiries on either side.

    points : from `smile`. days : calendar days.

    Returns DataFrame `underlying, session, moneyness, iv`, sorted; null where the expiries do not reach around `days`.
    """
    target = days / DAYS
    variance = pl.when(pl.col("years") > 0).then(pl.col("iv") ** 2 * pl.col("years"))
    grouped = points.with_columns(variance=variance).sort("years").group_by(*SNAPSHOT, "moneyness")
    return grouped.agg(iv=(_linear("years", "variance", at=target) / target).sqrt()).sort(*SNAPSHOT, "moneyness")


def _linear(x: str, y: str, *, at: float) -> pl.Expr:
    """Within a group sorted by `x`: `y` at `at`, by the points with both on either side; null without one of them."""
    known = pl.col(x).is_not_null() & pl.col(y).is_not_null()
    below, above = known & (pl.col(x) <= at), known & (pl.col(x) >= at)
    x0, y0 = (pl.col(name).filter(below).last() for name in (x, y))
    x1, y1 = (pl.col(name).filter(above).first() for name in (x, y))
    return y0 + (y1 - y0) * pl.when(x1 == x0).then(0.0).otherwise((at - x0) / (x1 - x0))
