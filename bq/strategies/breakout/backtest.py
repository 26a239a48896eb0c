"""The portfolio backtest: signals, which of them are taken, and what comes of it.

    prepared = prepare(market, settings.universe)              # once for a market; nothing of a trial changes it
    result = backtest(prepared, settings)                      # pure; a few milliseconds
    result = backtest(prepared, settings, start=..., end=...)  # from fresh capital, on those sessions alone
    result.trades, result.signals, result.days                 # DataFrames, made when asked for
    result.equity, result.r                                    # arrays: (n_sessions,) and net R of closed trades
    performance(result)                                        # figures by name; see performance.py
    signals(prepared, settings)                                # what may be scored: for `probability`
    backtest(prepared, settings, probability=p)                # p of shape (n_signals,), NaN where unknown

`probability` acts as `settings.ml` says and only where `settings.ml.enabled`. Indicators are cached in `prepared`:
changing any parameter but `universe` needs no new one.
"""

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.errors import BadParameters
from bq.kernels import breakout as kernel
from bq.kernels.breakout import Rules, Trades
from bq.market.matrix import Mask
from bq.strategies.breakout.prepare import Array, Index, Prepared
from bq.strategies.breakout.settings import BreakoutSettings

REASONS = ("open", "lapsed", "stop", "average", "holding", "delisted")  # in the kernel's order
DECISIONS = ("taken", "held", "filtered", "slots", "exposure", "guard", "unseen")
PEERS, TRAIL = 10, 252  # signals of a day that make percentiles of their own; sessions looked back on otherwise


class Signals(NamedTuple):
    """Breakouts of eligible symbols, sorted by session and symbol; arrays of shape (n,)."""

    session: Index  # position in `Prepared.sessions`
    symbol: Index
    fast: NDArray[np.bool_]  # beyond the 20-session high; else beyond the 55-session high alone
    score: Array  # in (0, 1]


@dataclass(frozen=True, eq=False)
class Backtest:
    """What a portfolio made of the signals of the sessions `first` … `last` (positions in `prepared.sessions`)."""

    prepared: Prepared
    found: Signals  # of these sessions
    priority: Array
    decision: Index  # index into DECISIONS
    made: Trades
    by_day: Array  # (n_sessions, 4)
    first: int
    last: int

    @property
    def equity(self) -> Array:
        """Equity at each close."""
        return self.by_day[:, 0]

    @property
    def taken(self) -> NDArray[np.bool_]:
        """Which signals were taken."""
        return self.decision == kernel.TAKEN

    @property
    def r(self) -> Array:
        """Net R of the closed trades, in order of their signals."""
        return self.made.numbers[self.taken & (self.made.when[:, 1] >= 0), 3]

    @cached_property
    def trades(self) -> pl.DataFrame:
        """One row for each position; open ones have no exit. Prices are after slippage, `r` after fees too."""
        return trade_table(self.prepared, self.found, self.made, self.taken & (self.made.when[:, 0] >= 0))

    @cached_property
    def signals(self) -> pl.DataFrame:
        """session, symbol, kind, score, priority and why each was (not) taken."""
        return pl.DataFrame(
            {
                "session": self.prepared.sessions[self.found.session],
                "symbol": np.array(self.prepared.symbols)[self.found.symbol],
                "kind": np.where(self.found.fast, "fast", "slow"),
                "score": self.found.score,
                "priority": self.priority,
                "decision": np.array(DECISIONS)[self.decision],
            }
        )

    @cached_property
    def days(self) -> pl.DataFrame:
        """session, equity, exposure (share of equity), traded (notional), positions, benchmark and buy_and_hold.

        The last two are levels that begin with the capital: `buy_and_hold` is equal money in every symbol with a bar on
        the first session, never touched; what is delisted stays as cash at its last close.
        """
        days, capital = slice(self.first, self.last + 1), self.by_day[0, 0]
        close = self.prepared.measures.close[days, self.prepared.measures.present[self.first]]
        held = (close / close[0]).mean(axis=1) if close.size else np.ones(len(close))
        beside = {"benchmark": self.prepared.benchmark[days], "buy_and_hold": held}
        frame = pl.DataFrame(self.by_day, schema=["equity", "exposure", "traded", "positions"])
        return frame.with_columns(
            pl.Series("session", self.prepared.sessions[days]),
            pl.col("positions").cast(pl.Int64),
            *(pl.Series(name, level / level[0] * capital) for name, level in beside.items()),
        ).select("session", pl.exclude("session"))


def trade_table(prepared: Prepared, found: Signals, made: Trades, chosen: NDArray[np.bool_]) -> pl.DataFrame:
    """Trades of the chosen signals, sorted by session and symbol; prices in units of the price quoted at the signal."""
    days = np.append(prepared.sessions, np.datetime64("NaT"))  # −1 is the last
    when, numbers = made.when[chosen], made.numbers[chosen].copy()
    at = found.session[chosen], found.symbol[chosen]
    unit = prepared.quoted[at] / prepared.measures.close[at]
    numbers[:, 0] /= unit
    numbers[:, 1:3] *= unit[:, None]
    frame = pl.DataFrame(
        {
            "symbol": np.array(prepared.symbols)[found.symbol[chosen]],
            "signal_session": prepared.sessions[found.session[chosen]],
            "entry_session": days[when[:, 0]],
            "exit_session": days[when[:, 1]],
            **dict(zip(("quantity", "entry_price", "exit_price", "r"), numbers.T, strict=True)),
            "reason": np.array(REASONS)[made.reasons[chosen]],
        }
    )
    return frame.with_columns(pl.col("quantity", "entry_price", "exit_price", "r").fill_nan(None))


def signals(prepared: Prepared, settings: BreakoutSettings) -> Signals:
    """All signals of a market under the rules of entry and eligibility, with their rule score."""
    c, average = prepared.candidates, prepared.average(settings.eligibility.trend_ma)
    entry, rule = settings.entry, settings.eligibility
    fast = c.close >= c.fast_high * (1.0 + entry.fast_clearance)
    breaks = fast | (c.close >= c.slow_high * (1.0 + entry.slow_clearance))
    trend = (c.close > average.level.T.ravel()[c.place]) & (average.slope.T.ravel()[c.place] > rule.min_slope)
    chosen = breaks & trend & (c.quoted >= rule.min_price) & (c.dollars >= rule.min_dollar_volume)
    session, symbol = c.session[chosen], c.symbol[chosen]
    weights = settings.score
    score = (
        weights.distance * kernel.percentile(average.distance, session, symbol)
        + weights.momentum * kernel.percentile(prepared.momentum, session, symbol)
        + weights.diversification * kernel.percentile(prepared.diversification, session, symbol)
    )
    return Signals(session, symbol, fast[chosen], score)


def rules(settings: BreakoutSettings) -> Rules:
    """The loop's parameters."""
    risk, costs = settings.risk, settings.costs
    return Rules(
        stop_multiple=settings.exit.hard_stop_atr_mult,
        max_holding=settings.exit.max_holding_days,
        risk=risk.risk_per_trade,
        max_positions=risk.max_positions,
        max_exposure=risk.max_exposure,
        max_notional=risk.max_notional,
        max_adv_share=risk.max_adv_share,
        guard_positions=risk.guard_positions,
        guard_average=risk.guard_average,
        guard_limit=risk.guard_limit,
        fee=costs.fee_bps / 1e4,
        slippage=costs.slippage_bps / 1e4,
        capital=risk.capital,
    )


def backtest(
    prepared: Prepared,
    settings: BreakoutSettings,
    *,
    probability: Array | None = None,
    refused: Mask | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
) -> Backtest:
    """Trade the signals of the sessions from `start` to `end` (None: all there are) from fresh capital.

    probability : P(R > 0) of each of `signals(prepared, settings)`, NaN where unknown; needed where `ml` is enabled.
    refused : which of them the policy of the model does not trade; none where `ml` is not enabled.
    Positions still open at the end stay in the equity at the last close and have no R.

    Raises BadParameters where no session lies in the range, or where probabilities are needed and absent.
    """
    first, last = _range(prepared, start, end)
    found = signals(prepared, settings)
    weighed = priorities(found, probability, settings, refused)
    inside = slice(*np.searchsorted(found.session, (first, last + 1)))
    found, weighed = Signals._make(part[inside] for part in found), weighed[inside]
    average = prepared.average(settings.exit.exit_ma).level
    decision, made, by_day = kernel.portfolio(
        prepared.measures, average, found.session, found.symbol, weighed, rules(settings), first, last
    )
    return Backtest(prepared, found, weighed, decision, made, by_day, first, last)


def follow(prepared: Prepared, found: Signals, settings: BreakoutSettings) -> Trades:
    """Every signal as a trade of its own, by the portfolio's fills and exits, sized on the initial capital."""
    average = prepared.average(settings.exit.exit_ma).level
    end = len(prepared.sessions) - 1
    return kernel.follow_all(prepared.measures, average, found.session, found.symbol, rules(settings), end)


def priorities(
    found: Signals, probability: Array | None, settings: BreakoutSettings, refused: Mask | None = None
) -> Array:
    """Who is served first: the rule score, or what `ml` makes of it and the probability; NaN: not traded.

    A signal without a probability is never dropped, and stands by its score alone. refused : see `backtest`.
    """
    ml = settings.ml
    if not ml.enabled:
        return found.score
    if probability is None or len(probability) != len(found.session):
        raise BadParameters(
            "ML model does not exist: train first with `make retrain STRATEGY=breakout`, or set ml.enabled: false "
            "(`ml.enabled` needs a probability for each signal, but there is none)."
        )
    known = np.isfinite(probability)
    dropped = known & (np.zeros(len(known), bool) if refused is None else refused)
    if ml.prediction_mode == "filter":
        return np.where(dropped | (known & (probability < ml.confidence_threshold)), np.nan, found.score)
    weight = ml.ml_weight if ml.prediction_mode == "score_enhancement" else 1.0
    by_score, by_model = percentiles(found.score, found.session), percentiles(probability, found.session)
    return np.where(dropped, np.nan, np.where(known, (1.0 - weight) * by_score + weight * by_model, by_score))


def percentiles(values: Array, session: Index, *, peers: int | None = PEERS, trail: int = TRAIL) -> Array:
    """Mid-rank of each value, in (0, 1]: among those of its session, or with fewer than `peers` of `trail` sessions.

    NaN stays NaN and counts for nothing. session : sorted. peers : None looks back always. No later value is used.
    """
    result = np.full(len(values), np.nan)
    for day, begin, count in zip(*np.unique(session, return_index=True, return_counts=True), strict=True):
        reach = begin if peers and count >= peers else np.searchsorted(session, day - trail, "right")
        own, among = values[begin : begin + count], values[reach : begin + count]
        among = np.sort(among[np.isfinite(among)])
        below, up_to = np.searchsorted(among, own), np.searchsorted(among, own, "right")
        with np.errstate(invalid="ignore", divide="ignore"):
            result[begin : begin + count] = np.where(np.isfinite(own), (below + up_to + 1) / 2 / len(among), np.nan)
    return result


def _range(prepared: Prepared, start: dt.date | None, end: dt.date | None) -> tuple[int, int]:
    days = prepared.sessions
    first = 0 if start is None else int(np.searchsorted(days, np.datetime64(start, "D")))
    last = len(days) - 1 if end is None else int(np.searchsorted(days, np.datetime64(end, "D"), "right")) - 1
    if first > last:
        raise BadParameters(
            f"backtest: at least one session must lie from `start` to `end`, but got {start} to {end} "
            f"with bars from {days[0]} to {days[-1]}. Choose dates within them."
        )
    return first, last
