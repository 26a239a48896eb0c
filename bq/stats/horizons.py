"""How long a prediction keeps ranking: its rank IC against returns over other horizons than its own.

A forward return is that of alphalens-reloaded: close over close, so many sessions of the symbol later, minus 1.
"""

from collections.abc import Sequence

import polars as pl

from bq.stats.rank_ic import rank_ic

HORIZONS = (1, 2, 5, 10, 21, 42)  # sessions


def forward_returns(bars: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """session, symbol, outcome: return from the session's close over the next `horizon` bars of the symbol.

    bars : session, symbol, close. Null where the bars end before.
    """
    later = pl.col("close").shift(-horizon).over("symbol", order_by="session")
    return bars.select("session", "symbol", outcome=later / pl.col("close") - 1.0)


def by_horizon(
    predictions: pl.DataFrame, bars: pl.DataFrame, *, by: str, horizons: Sequence[int] = HORIZONS
) -> pl.DataFrame:
    """Mean rank IC of `by` against the return over each horizon.

    predictions : session, symbol and `by`. Returns sessions ahead, mean rank IC, share of ICs above 0, and how many
    there are; a horizon without any is left out. Neighbouring sessions overlap: the mean has fewer independent
    observations.
    """
    rows = []
    bars = bars.filter(pl.col("session") >= predictions["session"].min())
    for horizon in horizons:
        known = predictions.drop("outcome", strict=False).join(
            forward_returns(bars, horizon), on=["session", "symbol"], how="left", maintain_order="left"
        )
        ics = rank_ic(known, by=by)["ic"]
        if len(ics):
            rows.append((horizon, ics.mean(), (ics > 0).mean(), len(ics)))
    columns = {"sessions ahead": pl.Int64, "mean rank IC": pl.Float64, "above 0": pl.Float64, "sessions": pl.Int64}
    return pl.DataFrame(rows, schema=columns, orient="row")
