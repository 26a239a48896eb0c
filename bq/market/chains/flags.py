"""What looks odd in quotes that hold: kept, and said, once for a snapshot or an underlying."""

import polars as pl

from bq.market.chains.quotes import CONTRACT, findings

STALE_SESSIONS = 5
MAX_CARRY = 0.10  # rate or dividend yield a year that may hold a European option below its undiscounted intrinsic value
NOT_ON_SPOT = ("VIX",)  # options on futures: what the spot says about their intrinsic value is nothing
VENDOR_IV = (0.01, 5.0)  # decimals a year; outside it, and at 0, the vendor's figure was not computed or is absurd


def flags(quotes: pl.DataFrame) -> pl.DataFrame:
    """Findings about valid rows: asks below intrinsic value, quotes that never change, a vendor's absurd volatility.

    quotes : sorted by `KEY`, with the columns of `ROWS`, one spot a snapshot.
    """
    return pl.concat([_below_intrinsic(quotes), _stale(quotes), _vendor_iv(quotes)])


def _below_intrinsic(quotes: pl.DataFrame) -> pl.DataFrame:
    """Asks at which exercise pays at once (American), or the least that carry leaves of it at expiry (European).

    The ask, not the bid: deep in the money a wide market's bid lies below intrinsic value, and nothing is wrong.
    """
    spot, strike = pl.col("spot"), pl.col("strike")
    years = (pl.col("expiry") - pl.col("session")).dt.total_days() / 365
    discount = pl.when(pl.col("style") == "european").then((-MAX_CARRY * years).exp()).otherwise(1.0)
    call = pl.col("right") == "call"
    least = pl.when(call).then(spot * discount - strike).otherwise(strike * discount - spot)
    below = quotes.filter(pl.col("ask") < least, ~pl.col("underlying").is_in(NOT_ON_SPOT))
    by_snapshot = below.group_by("file", "underlying", "session", maintain_order=True).agg(
        pl.col("row", "expiry", "right", "strike", "ask", "spot").first(), rows=pl.len()
    )
    text = "{} quotes have an ask below intrinsic value (first: {} {} {}, ask {} with spot {})"
    right = pl.col("right").cast(pl.String)
    detail = pl.format(text, "rows", "expiry", right, "strike", "ask", "spot")
    return findings(by_snapshot, action="flagged", rule="below_intrinsic", detail=detail)


def _stale(quotes: pl.DataFrame) -> pl.DataFrame:
    """Contracts with one bid and ask over several sessions of quotes: nobody may be there at that price."""
    often = quotes.group_by(*CONTRACT, "bid", "ask").len().filter(pl.col("len") >= STALE_SESSIONS)
    ordered = quotes.join(often, on=CONTRACT, how="semi").sort(*CONTRACT, "session")
    new = pl.any_horizontal(
        (pl.col(name) != pl.col(name).shift()).fill_null(True) for name in (*CONTRACT, "bid", "ask")
    )
    runs = (
        ordered.with_columns(run=new.cum_sum())
        .group_by("run", maintain_order=True)
        .agg(pl.col("file", "row", *CONTRACT, "session", "bid", "ask").first(), length=pl.len())
        .filter(pl.col("length") >= STALE_SESSIONS)
    )
    by_underlying = runs.group_by("file", "underlying", maintain_order=True).agg(
        pl.col("row", "root", "expiry", "right", "strike", "session", "bid", "ask").first(),
        contracts=pl.struct(CONTRACT).n_unique(),
        longest=pl.col("length").max(),
        rows=pl.col("length").sum(),
    )
    text = (
        f"{{}} contracts have the same bid and ask for {STALE_SESSIONS} sessions or more, up to {{}} "
        "(first: {} {} {} {}, {} to {})"
    )
    right = pl.col("right").cast(pl.String)
    detail = pl.format(text, "contracts", "longest", "root", "expiry", right, "strike", "bid", "ask")
    return findings(by_underlying, action="flagged", rule="stale", detail=detail)


def _vendor_iv(quotes: pl.DataFrame) -> pl.DataFrame:
    """How much of the vendor's implied volatility could not have been used. None of it is."""
    low, high = VENDOR_IV
    vendor = pl.col("vendor_iv")
    zero = vendor == 0
    counts = (
        quotes.filter(vendor.is_not_null())
        .group_by("file", "underlying", maintain_order=True)
        .agg(
            read=pl.len(),
            row=pl.col("row").filter(~vendor.is_between(low, high)).first(),
            zeros=zero.sum(),
            rows=(~vendor.is_between(low, high)).sum(),
        )
        .filter(pl.col("rows") > 0)
    )
    absurd = pl.col("rows") - pl.col("zeros")
    text = f"the vendor's implied volatility is 0 in {{}} and outside [{low}, {high}] in {{}} of {{}} quotes; not used"
    detail = pl.format(text, "zeros", absurd, "read")
    return findings(counts, action="flagged", rule="vendor_iv", detail=detail)
