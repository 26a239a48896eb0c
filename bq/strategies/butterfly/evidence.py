"""Exhibits of butterflies: what fills cost, what widths earn, and how far modelled prices can be trusted."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bq.analysis.volatility import har_volatility
from bq.core import params, paths
from bq.core.scalars import count
from bq.market.bars import continuous
from bq.strategies.butterfly.settings import ButterflySettings
from bq.strategies.contract import Exhibit

if TYPE_CHECKING:
    from bq.market import MarketData

FILLS = ("roi_0%", "roi_25%", "roi_50%", "roi_100%")
COMPONENTS = ("price_match", "price_match_v2", "vol_mispricing", "stability", "fourier")


def exhibits(events: pl.DataFrame, market: "MarketData", settings: ButterflySettings) -> list[Exhibit]:
    """The tables of a feature exploration that are about butterflies."""
    from bq.market.calendars import periods_per_year

    closed = events.filter(pl.col("outcome").is_not_null())
    return [
        Exhibit(
            "What the fill costs",
            "Mean ROI of the same positions with none, a quarter, half and all of the half-spread lost on each leg, in "
            "and out.",
            closed.group_by("structure").agg(pl.col(FILLS).mean(), events=pl.len()).sort("structure"),
        ),
        Exhibit(
            "By structure and width",
            "Wings narrower than one standard deviation of the price at expiry pay rarely, but much.",
            by_width(closed),
        ),
        Exhibit(
            "The components of the rule score",
            "A component that hardly varies decides nothing, whatever its weight.",
            score_shares(closed, settings),
        ),
        Exhibit(
            "How far these prices can be trusted",
            "Where no chain is quoted, implied volatility is a forecast times a premium. This proxy is compared with "
            "what the market published: mean and standard deviation of log(proxy / published). Where a source has "
            "back-adjusted prices only, modelled exits include the dividends since t0.",
            proxy_error(market.bars, settings, periods_per_year=periods_per_year(market.calendar)),
        ),
        Exhibit(
            "The rules on a market without a signal",
            "On a simulated market without any signal the rules should earn nothing at mid prices and lose the spread "
            "after costs, and the volatility mispricing should not rank the returns.",
            fair_market(),
        ),
    ]


def fair_market() -> pl.DataFrame:
    """Mean ROI at each fill on a simulated market without a signal, and whether vol_mispricing ranks it (Spearman)."""
    from bq import market
    from bq.strategies.butterfly import STRATEGY  # the package imports this module

    path = paths.CHECKOUT / "parameters" / "simulated" / "butterfly.yaml"
    quiet = "market.simulation.pinned_share=0.0 market.simulation.symbols=8 events.every_weeks=4"
    settings = params.load(path, ButterflySettings, overrides=quiet)
    data = market.load(settings.market)
    made = STRATEGY.table.build(data, settings, STRATEGY.table.schedule(data, settings)).events
    closed = made.filter(pl.col("outcome").is_not_null())
    rank = pl.corr("vol_mispricing", "roi_0%", method="spearman")
    return closed.select(pl.col(FILLS).mean(), spearman=rank, standard_error=1 / pl.len().sqrt(), events=pl.len())


def results(trades: pl.DataFrame, oos: pl.DataFrame) -> list[Exhibit]:
    """Figures of one model's out-of-sample predictions and trades, beside their baselines and older targets."""
    largest = count(oos["label"].value_counts()["count"].max()) / len(oos)
    shown = {
        "figure": [
            "accuracy, every event alike",
            "expected − realised ROI, the same",
            f"win rate of the {len(trades):,} trades",
        ],
        "here": [
            (oos["predicted"] == oos["label"]).mean(),
            (oos["expected"] - oos["outcome"]).mean(),
            (trades["outcome"] > 0).mean(),
        ],
        "baseline": [largest, 0.0, (oos["outcome"] > 0).mean()],
        "baseline is": ["share of the largest class", "no bias", "win rate of all events"],
        "older target": ["45 to 55%", "within ±0.15", "35 to 45%"],
    }
    text = (
        "What this strategy was expected to reach before it had a gate. Nothing is decided by these targets: an "
        "accuracy or a win rate means something only above its baseline."
    )
    return [Exhibit("Beside older targets", text, pl.DataFrame(shown))]


def by_width(closed: pl.DataFrame) -> pl.DataFrame:
    """What closed events earned by structure and tercile of the wing's width in standard deviations."""
    tercile = (pl.col("wing_sigmas").rank("ordinal").over("structure") * 3 / pl.len().over("structure")).ceil()
    width = tercile.cast(pl.Int64).replace_strict({1: "narrow", 2: "middle", 3: "wide"}, return_dtype=pl.String)
    table = closed.with_columns(width=width).group_by("structure", "width")
    means = {name: pl.col(name).mean() for name in ("wing_sigmas", "outcome", "in_zone", "lead_7d")}
    counted = table.agg(**means, win_rate=(pl.col("outcome") > 0).mean(), events=pl.len())
    return counted.rename({"outcome": "mean_ROI"}).sort("structure", "wing_sigmas")


def score_shares(events: pl.DataFrame, settings: ButterflySettings) -> pl.DataFrame:
    """Share of the score's variance that each component carries: component, weight, share. Shares add to 1."""
    unused = "price_match" if settings.score.rule == "score_v2" else "price_match_v2"
    names = [name for name in COMPONENTS if name != unused]
    weights = [getattr(settings.score, name.removesuffix("_v2")) for name in names]
    weighted = events.select(pl.col(f"{name}_score") * w for name, w in zip(names, weights, strict=True))
    total = weighted.sum_horizontal()
    shares = [weighted.select(pl.cov(pl.col(f"{name}_score"), total)).item() / total.var() for name in names]
    return pl.DataFrame({"component": names, "weight": weights, "share of variance": shares})


def proxy_error(bars: pl.DataFrame, settings: ButterflySettings, *, periods_per_year: int) -> pl.DataFrame:
    """The proxy beside published implied volatility, for each symbol that has one.

    Returns symbol, sessions, first, last, mean_error (mean log of proxy / published), sd (of that log), correlation.
    An index's published figure is scaled to at-the-money as in `events`; closes and forecasts use nothing later.
    """
    rules, rows = settings.structure, []
    for (symbol,), group in bars.sort("session").group_by("symbol", maintain_order=True):
        index = symbol in rules.index_symbols
        published = group["iv"].fill_null(np.nan).to_numpy() * (rules.vix_to_atm if index else 1.0)
        premium = rules.iv_premium_index if index else rules.iv_premium_stock
        proxy = premium * har_volatility(
            group.select(continuous()).to_series().to_numpy(), periods_per_year=periods_per_year
        )
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
