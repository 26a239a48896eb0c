"""From the bars of one symbol to its butterfly events. Features at t0 use bars up to t0, and nothing later."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.analysis.arima import arima_forecast
from bq.analysis.fourier import fourier_reading
from bq.analysis.garch import garch_volatility
from bq.analysis.volatility import trailing_percentile
from bq.strategies.butterfly import pricing, score
from bq.strategies.butterfly.features import butterfly_v2, butterfly_v3
from bq.strategies.butterfly.history import UNQUOTED_SPOT, History, Index
from bq.strategies.butterfly.settings import ButterflySettings, Costs
from bq.strategies.butterfly.structure import IRON, TYPES, Reading, Structure
from bq.strategies.butterfly.trade_path import Pricer, outcomes, trade_path

Columns = Mapping[str, NDArray]  # of one length


def usable(h: History, at: Index, s: ButterflySettings) -> NDArray[np.str_]:
    """Why each position cannot be analysed; empty where it can."""
    sessions = s.analysis.history_sessions
    return np.select(
        [at < sessions - 1, ~(h.iv[at] > 0)],
        [f"fewer than {sessions} sessions of history", "no implied volatility yet"],
        default="",
    )


def read(h: History, at: Index, s: ButterflySettings) -> Reading:
    """Analyse the history up to each position; every row depends on its own window alone."""
    spot = h.quoted[at] if h.quoted is not None else np.full(len(at), UNQUOTED_SPOT)
    window = at[:, None] + np.arange(1 - s.analysis.history_sessions, 1)
    prices, volumes = h.level[window] * (spot / h.level[at])[:, None], h.volume[window]
    fourier = fourier_reading(prices, volumes)
    arima = arima_forecast(
        prices[:, -s.analysis.arima_sessions :],
        orders=tuple((p, d, q) for p, d, q in s.analysis.arima_orders),
        engine=s.analysis.engine,
    )
    returns = 100.0 * np.diff(np.log(prices), axis=1)
    slope, threshold = fourier.trend_slope, s.analysis.trend_threshold
    recent = volumes[:, -5:]
    with np.errstate(invalid="ignore", divide="ignore"):
        concentration = np.clip(recent.max(axis=1) / recent.mean(axis=1), 0.5, 10.0)
    return Reading(
        spot=spot,
        trend_slope=slope,
        trend=np.where(slope > threshold, 1, np.where(slope < -threshold, -1, 0)),
        peak=fourier.cycle > 0,
        dominant_period=fourier.dominant_period,
        period_strength=fourier.period_strength,
        forecast=arima.price,
        width_pct=arima.width_pct,
        garch_vol=garch_volatility(returns, periods_per_year=h.periods_per_year, engine=s.analysis.engine),
        iv=h.iv[at],
        iv_percentile=trailing_percentile(h.iv, at),
        momentum_7d=np.clip(prices[:, -1] / prices[:, -8] - 1.0, -1.0, 1.0),
        vol_concentration=concentration,
        skew=h.skew[at],
    )


def tradable(
    structure: Structure, quote: pricing.Quote, opened: pricing.Terms, reading: Reading, costs: Costs
) -> NDArray[np.str_]:
    """Why each structure makes no sense at t0 (the first reason that applies); empty where it does.

    What it costs to open and to close is seen at t0, as if it were closed at once.
    """
    mid = quote.mid
    there_and_back = 2.0 * costs.half_spread_paid * quote.half_spread
    iron = structure.type == IRON
    analysed = np.isfinite(reading.forecast) & (reading.width_pct > 0) & np.isfinite(reading.garch_vol)
    bound = structure.width * np.where(iron, -1.0, 1.0)
    reasons = {
        "analysis did not converge": ~analysed,
        "no listed structure, or a leg without a quote": ~np.isfinite(mid),
        "mid price outside its no-arbitrage bounds": (mid * np.sign(bound) < -1e-9) | (np.abs(mid) > np.abs(bound)),
        "lower wing below half of spot": structure.lower < 0.5 * reading.spot,
        "credit not below the width": iron & (-opened.debit >= structure.width),
        "no credit after costs": iron & (opened.debit >= 0),
        "debit not below the width": ~iron & (opened.debit >= structure.width),
        f"costs of entry and exit above {costs.max_cost_share:.0%} of the risk": (
            there_and_back > costs.max_cost_share * opened.risk
        ),
    }
    return np.select(list(reasons.values()), list(reasons), default="")


class Opportunity(NamedTuple):
    """What is known at t0 about each event of one symbol."""

    at: Index
    reading: Reading
    structure: Structure
    opened: pricing.Terms

    def only(self, good: NDArray[np.bool_]) -> "Opportunity":
        """The rows where `good` holds."""
        return Opportunity(
            self.at[good],
            Reading._make(values[good] for values in self.reading),
            Structure._make(values[good] for values in self.structure),
            pricing.Terms._make(values[good] for values in self.opened),
        )


def find(h: History, at: Index, pricer: Pricer, s: ButterflySettings) -> tuple[Opportunity, Columns]:
    """The opportunities at the given positions, and the refused dates: columns session, reason."""
    unusable = usable(h, at, s)
    analysed = at[unusable == ""]
    reading = read(h, analysed, s)
    structure = pricer.choose(analysed, reading)
    quote = pricer.quote(analysed, structure, analysed)
    opened = pricing.terms(structure, quote, paid=s.costs.half_spread_paid)
    senseless = tradable(structure, quote, opened, reading, s.costs)
    reason = unusable.astype(object)
    reason[unusable == ""] = senseless
    good, why = senseless == "", reason.astype(str)
    refused = {"session": h.session[at[why != ""]], "reason": why[why != ""]}
    return Opportunity(analysed, reading, structure, opened).only(good), refused


def describe(h: History, found: Opportunity, s: ButterflySettings) -> Columns:
    """Features, score and structure of each event: everything that is known at t0."""
    at, reading, structure, opened = found
    years, rate = structure.dte_days / 365.0, s.structure.rate
    greek = pricing.greeks(structure, reading.spot, reading.iv, years, rate=rate)
    probability = pricing.probability_of_profit(structure, opened, reading.spot, reading.iv, years, rate=rate)
    parts = score.components(reading, structure, greek.delta)
    total = score.total(parts, s.score)
    v2 = butterfly_v2(reading, structure, greek, opened, probability)
    level = score.level(total, opened.max_profit / opened.risk)
    risk = score.risk_label(probability)
    return {
        "session": h.session[at],
        "score": total,
        "structure": np.array(TYPES)[structure.type],
        "trend": reading.trend,
        "peak": reading.peak,
        "spot": reading.spot,
        "quoted": np.full(len(at), h.quoted is not None),  # else prices and strikes are in % of spot at t0
        "lower": structure.lower,
        "body": structure.body,
        "upper": structure.upper,
        "dte_days": structure.dte_days,
        "expiry": h.session[at] + structure.dte_days.astype("timedelta64[D]"),
        "arima_width_pct": reading.width_pct,
        **{f"{name}_score": values for name, values in parts._asdict().items()},
        "level": level,
        "risk_label": risk,
        "size_label": score.size_label(level, risk),
        **v2,
        **butterfly_v3(reading, structure, v2),
    }


def build_symbol(h: History, at: Index, pricer: Pricer, s: ButterflySettings) -> tuple[Columns, Columns]:
    """All columns of the events of one symbol at the given bar positions, and the refused dates: session, reason."""
    found, refused = find(h, at, pricer, s)
    path = trade_path(h, found.at, found.structure, pricer, s)
    columns = {
        **describe(h, found, s),
        "root": np.array(pricer.roots(found.at, found.structure), dtype=object),
        "due": path.due,
        "known": path.known,
        "entry_session": np.where(path.entry >= 0, h.session[path.entry], np.datetime64("NaT")),
        "exit_session": np.where(path.exit >= 0, h.session[path.exit], np.datetime64("NaT")),
        "exit_reason": path.exit_reason,
        **outcomes(h, found.at, found.structure, path, pricer, s),
    }
    return columns, refused


def stacked(parts: Sequence[Columns]) -> pl.DataFrame:
    """The rows of all parts as one table, which costs as much for one row as for a thousand. Objects are text."""
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    text = {name: values for name, values in columns.items() if values.dtype == object}
    table = {**columns, **{name: pl.Series(values.tolist(), dtype=pl.String) for name, values in text.items()}}
    return pl.DataFrame(table)
