"""From the bars of one symbol to its butterfly events. Features at t0 use bars up to t0, and nothing later."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.analysis.arima import arima_forecast
from bq.analysis.fourier import fourier_reading
from bq.analysis.garch import garch_volatility
from bq.analysis.volatility import iv_proxy, trailing_percentile
from bq.strategies.butterfly import pricing, score
from bq.strategies.butterfly.features import butterfly_v2
from bq.strategies.butterfly.settings import ButterflySettings, holding_days
from bq.strategies.butterfly.structure import IRON, TYPES, Reading, Structure, choose

Array = NDArray[np.float64]
Index = NDArray[np.int64]

UNQUOTED_SPOT = 100.0  # back-adjusted prices have no level of their own: spot at t0 is set to 100


class History(NamedTuple):
    """The bars of one symbol as arrays of shape (n_bars,), plus the market's clock."""

    symbol: str
    session: NDArray[np.datetime64]  # trading sessions, datetime64[D]
    level: Array  # continuous through splits; only ratios of it mean anything
    quoted: Array | None  # close as quoted; None where the source has back-adjusted prices only
    volume: Array
    iv: Array  # quoted or proxy, annualised decimal
    calendar: NDArray[np.datetime64]  # every session of the exchange, past and to come
    last: np.datetime64  # newest session of the whole market: what has happened by then has happened


def history(bars: pl.DataFrame, calendar: NDArray[np.datetime64], last: dt.date, s: ButterflySettings) -> History:
    """Arrays of one symbol's bars (the bar contract, sorted by session)."""
    symbol = bars["symbol"][0]
    level = (bars["close"] * bars["adj"]).to_numpy()
    structure = s.structure
    premium = structure.iv_premium_index if symbol in structure.index_symbols else structure.iv_premium_stock
    optional = bars.select(pl.col("volume", "iv").cast(pl.Float64).fill_null(np.nan))
    return History(
        symbol=symbol,
        session=bars["session"].to_numpy().astype("datetime64[D]"),
        level=level,
        quoted=bars["close"].to_numpy() if bars["quoted"][0] else None,
        volume=optional["volume"].to_numpy(),
        iv=iv_proxy(level, optional["iv"].to_numpy(), premium=premium),
        calendar=calendar,
        last=np.datetime64(last, "D"),
    )


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
        orders=tuple(tuple(order) for order in s.analysis.arima_orders),
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
        garch_vol=garch_volatility(returns, engine=s.analysis.engine),
        iv=h.iv[at],
        iv_percentile=trailing_percentile(h.iv)[at],
        momentum_7d=np.clip(prices[:, -1] / prices[:, -8] - 1.0, -1.0, 1.0),
        vol_concentration=concentration,
    )


class Course(NamedTuple):
    """What happened to each event after t0; positions are −1 and values NaN while that is not known."""

    due: NDArray[np.datetime64]  # latest session at which it can end
    entry: Index
    exit: Index
    known: NDArray[np.datetime64]  # session at which the outcome was known; NaT while open
    exit_reason: NDArray[np.str_]


def course(h: History, at: Index, structure: Structure, s: ButterflySettings) -> Course:
    """Follow each event from the next session to its exit.

    The exit is the first bar on or after the holding horizon. Where none comes within `carry_sessions`, the position
    is closed at its last price before: leaving it out would keep only the positions whose market stayed open. That
    this is the outcome is known when the waiting is over, not before.
    """
    holding = np.array([holding_days(int(dte)) for dte in structure.dte_days], "timedelta64[D]")
    planned = np.searchsorted(h.calendar, h.session[at] + holding, side="left")
    due = h.calendar[planned + s.label.carry_sessions]
    first, last_entry = at + 1, h.calendar[np.searchsorted(h.calendar, h.session[at]) + 1 + s.label.carry_sessions]
    entered = (first < len(h.session)) & (h.session[np.minimum(first, len(h.session) - 1)] <= last_entry)
    entry = np.where(entered, first, -1)
    on_time = np.searchsorted(h.session, h.calendar[planned], side="left")
    found = (on_time < len(h.session)) & (h.session[np.minimum(on_time, len(h.session) - 1)] <= due)
    stranded = ~found & (due <= h.last)
    before = np.searchsorted(h.session, due, side="right") - 1
    leave = np.where(found, on_time, np.where(stranded, before, -1))
    leave = np.where(entered & (leave >= entry), leave, -1)
    closed = leave >= 0
    known = np.where(closed, np.where(found, h.session[leave], due), np.datetime64("NaT"))
    reason = np.where(~closed, "", np.where(found, "horizon", "last price"))
    return Course(due, entry, leave, known, reason)


def outcomes(h: History, at: Index, structure: Structure, way: Course, s: ButterflySettings) -> dict[str, NDArray]:
    """ROI at the exit for each fraction of the half-spread, ROI after 7 sessions, and whether it ended in the zone."""
    expiry = h.session[at] + structure.dte_days.astype("timedelta64[D]")
    base = (h.quoted[at] if h.quoted is not None else UNQUOTED_SPOT) / h.level[at]

    def spot(position: Index) -> Array:
        return h.level[position] * base

    def marked(position: Index) -> pricing.Quote:
        years = np.maximum((expiry - h.session[position]).astype(np.float64), 0.0) / 365.0
        return pricing.quote(structure, spot(position), h.iv[position], years, rate=s.structure.rate, costs=s.costs)

    paid = s.costs.half_spread_paid
    opened = marked(way.entry)
    deal = pricing.terms(structure, opened, paid=paid)
    leave, week = marked(way.exit), np.minimum(at + 7, way.exit)
    closed = way.exit >= 0
    values = {
        f"roi_{fraction:.0%}": pricing.roi(structure, opened, leave, paid=fraction) for fraction in pricing.FRACTIONS
    }
    values = {"outcome": pricing.roi(structure, opened, leave, paid=paid), **values}
    values["lead_7d"] = pricing.roi(structure, opened, marked(week), paid=paid)
    values["debit"], values["risk"] = deal.debit, deal.risk
    values["exit_spot"] = spot(way.exit)
    values["in_zone"] = (np.abs(spot(way.exit) - structure.body) < structure.width).astype(np.float64)
    return {name: np.where(closed, value, np.nan) for name, value in values.items()}


def tradable(structure: Structure, opened: pricing.Terms, reading: Reading) -> NDArray[np.str_]:
    """Why each structure makes no sense at t0 (the first reason that applies); empty where it does."""
    iron = structure.type == IRON
    analysed = np.isfinite(reading.forecast) & (reading.width_pct > 0) & np.isfinite(reading.garch_vol)
    reasons = {
        "analysis did not converge": ~analysed,
        "lower wing below half of spot": structure.lower < 0.5 * reading.spot,
        "credit not below the width": iron & (-opened.debit >= structure.width),
        "no credit after costs": iron & (opened.debit >= 0),
        "debit not below the width": ~iron & (opened.debit >= structure.width),
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
        parts = (type(part)(*(values[good] for values in part)) for part in self[1:])
        return Opportunity(self.at[good], *parts)


def find(h: History, at: Index, s: ButterflySettings) -> tuple[Opportunity, pl.DataFrame]:
    """The opportunities at the given positions, and the refused dates: columns session, reason."""
    unusable = usable(h, at, s)
    analysed = at[unusable == ""]
    reading = read(h, analysed, s)
    structure = choose(reading, quoted=h.quoted is not None, settings=s.structure)
    years = structure.dte_days / 365.0
    mid = pricing.quote(structure, reading.spot, reading.iv, years, rate=s.structure.rate, costs=s.costs)
    opened = pricing.terms(structure, mid, paid=s.costs.half_spread_paid)
    senseless = tradable(structure, opened, reading)
    reason = unusable.astype(object)
    reason[unusable == ""] = senseless
    refused = pl.DataFrame({"session": h.session[at], "reason": reason.astype(str)}).filter(pl.col("reason") != "")
    return Opportunity(analysed, reading, structure, opened).only(senseless == ""), refused


def describe(h: History, found: Opportunity, s: ButterflySettings) -> dict[str, NDArray]:
    """Features, score and structure of each event: everything that is known at t0."""
    at, reading, structure, opened = found
    years, rate = structure.dte_days / 365.0, s.structure.rate
    greek = pricing.greeks(structure, reading.spot, reading.iv, years, rate=rate)
    probability = pricing.probability_of_profit(structure, opened, reading.spot, reading.iv, years, rate=rate)
    parts = score.components(reading, structure, greek.delta)
    total = score.total(parts, s.score)
    return {
        "session": h.session[at],
        "score": total,
        "structure": np.array(TYPES)[structure.type],
        "trend": reading.trend,
        "peak": reading.peak,
        "spot": reading.spot,
        "lower": structure.lower,
        "body": structure.body,
        "upper": structure.upper,
        "dte_days": structure.dte_days,
        "expiry": h.session[at] + structure.dte_days.astype("timedelta64[D]"),
        "wing_sigmas": structure.width / (reading.spot * reading.iv * np.sqrt(years)),
        "arima_width_pct": reading.width_pct,
        **{f"{name}_score": values for name, values in parts._asdict().items()},
        "level": score.level(total, opened.max_profit / opened.risk),
        **butterfly_v2(reading, structure, greek, opened, probability),
    }


def build_symbol(h: History, at: Index, s: ButterflySettings) -> tuple[dict[str, NDArray], pl.DataFrame]:
    """All columns of the events of one symbol at the given bar positions, and the refused dates."""
    found, refused = find(h, at, s)
    way = course(h, found.at, found.structure, s)
    columns = {
        **describe(h, found, s),
        "due": way.due,
        "known": way.known,
        "entry_session": np.where(way.entry >= 0, h.session[way.entry], np.datetime64("NaT")),
        "exit_session": np.where(way.exit >= 0, h.session[way.exit], np.datetime64("NaT")),
        "exit_reason": way.exit_reason,
        **outcomes(h, found.at, found.structure, way, s),
    }
    return columns, refused
