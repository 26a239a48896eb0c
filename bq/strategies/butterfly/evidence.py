"""How far modelled prices can be trusted: the implied-volatility proxy against what the market published."""

import numpy as np
import polars as pl

from bq.analysis.volatility import har_volatility
from bq.strategies.butterfly.settings import ButterflySettings


def proxy_error(bars: pl.DataFrame, settings: ButterflySettings) -> pl.DataFrame:
    """The proxy beside published implied volatility, for each symbol that has one.

    Returns symbol, sessions, first, last, mean_error (mean log of proxy / published), sd (of that log), correlation.
    An index's published figure is scaled to at-the-money as in `events`; closes and forecasts use nothing later.
    """
    rules, rows = settings.structure, []
    for (symbol,), group in bars.sort("session").group_by("symbol", maintain_order=True):
        index = symbol in rules.index_symbols
        published = group["iv"].fill_null(np.nan).to_numpy() * (rules.vix_to_atm if index else 1.0)
        premium = rules.iv_premium_index if index else rules.iv_premium_stock
        proxy = har_volatility((group["close"] * group["adj"]).to_numpy()) * premium
        both = np.isfinite(proxy) & np.isfinite(published)
        if both.sum() < 30:
            continue
        ratio, days = np.log(proxy[both] / published[both]), group["session"].filter(pl.Series(both))
        rows.append(
            {
                "symbol": symbol,
                "sessions": int(both.sum()),
                "first": days.min(),
                "last": days.max(),
                "mean_error": float(ratio.mean()),
                "sd": float(ratio.std()),
                "correlation": float(np.corrcoef(proxy[both], published[both])[0, 1]),
            }
        )
    kinds = {"symbol": pl.String, "sessions": pl.Int64, "first": pl.Date, "last": pl.Date}
    return pl.DataFrame(rows, schema={**kinds, "mean_error": pl.Float64, "sd": pl.Float64, "correlation": pl.Float64})
