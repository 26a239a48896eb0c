"""From signals to events: every one is followed to its end, whether or not the portfolio took it."""

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bq.core.errors import BadParameters
from bq.core.files import digest
from bq.strategies.breakout.backtest import Signals, backtest, follow, signals, trade_table
from bq.strategies.breakout.features import breakout_v1
from bq.strategies.breakout.prepare import Prepared, prepare
from bq.strategies.breakout.settings import BreakoutSettings
from bq.strategies.events import Built, Wanted, asked, completed, event_id

if TYPE_CHECKING:
    from bq.market import MarketData

NAME = "breakout"
LAPSED = "no bar in the session after the signal: the order lapsed"


def variant(settings: BreakoutSettings) -> str:
    """Rule-set name and digest of the parameters that a signal and its outcome depend on."""
    sections = ("universe", "entry", "eligibility", "exit", "risk", "costs", "score")
    return f"{NAME}-{digest({name: getattr(settings, name).model_dump() for name in sections}, 8)}"


def schedule(market: "MarketData", settings: BreakoutSettings) -> Wanted:
    """The sessions of each symbol's signals: no other gives an event.

    Raises BadParameters where signals are not to be kept as events.
    """
    if not settings.ml_data_collection.enabled:
        raise BadParameters(
            "`ml_data_collection.enabled` must be true for signals to be kept as events, but is false: there is "
            "nothing to count, to learn from or to weigh a probability against. Set ml_data_collection.enabled: true."
        )
    prepared = prepare(market, settings.universe)
    found = signals(prepared, settings)
    days = prepared.sessions.astype(dt.date)
    return {
        symbol: days[found.session[found.symbol == number]].tolist() for number, symbol in enumerate(prepared.symbols)
    }


def build(market: "MarketData", settings: BreakoutSettings, wanted: Wanted) -> Built:
    """The events of the wanted sessions that are signals.

    An event's outcome is its net R by the fills and exits of the backtest, sized on the initial capital, so that it
    does not depend on what else was held. `taken` is what the rules' own backtest from the first session decided.
    """
    prepared = prepare(market, settings.universe)
    by_rule = settings.model_copy(update={"ml": settings.ml.model_copy(update={"enabled": False})})
    result = backtest(prepared, by_rule)
    rows = _rows(prepared, result.found, result.signals["decision"], settings)
    rows = asked(rows, wanted)
    lapsed = pl.col("exit_reason") == "lapsed"
    refused = rows.filter(lapsed).select("symbol", "session", reason=pl.lit(LAPSED))
    return Built(_as_events(rows.filter(~lapsed), market, settings), refused)


def _rows(prepared: Prepared, found: Signals, decision: pl.Series, settings: BreakoutSettings) -> pl.DataFrame:
    """One row a signal: features, score, and the trade that it became."""
    made = follow(prepared, found, settings)
    everything = np.ones(len(found.session), bool)
    trades = trade_table(prepared, found, made, everything).rename(
        {"signal_session": "session", "r": "outcome", "reason": "exit_reason"}
    )
    stop = settings.exit.hard_stop_atr_mult
    features = breakout_v1(prepared, found, settings)
    return trades.with_columns(
        decision,
        pl.Series("kind", np.where(found.fast, "fast", "slow"), dtype=pl.String),
        pl.Series("score", found.score),
        pl.lit(prepared.benchmark_symbol, pl.String).alias("benchmark"),  # null: the mean of all that is traded
        pl.Series("close", prepared.quoted[found.session, found.symbol]),
        pl.Series("stop_share", stop * features["atr_pct"]),
        *(pl.Series(name, values) for name, values in features.items()),
    )


def _as_events(rows: pl.DataFrame, market: "MarketData", settings: BreakoutSettings) -> pl.DataFrame:
    """Add the contract's columns; the strategy's own stay behind them."""
    from bq.market.calendars import sessions

    calendar, name = sessions(market.calendar), variant(settings)
    t0 = calendar["close_utc"].gather(calendar["session"].search_sorted(rows["session"])).dt.to_string("iso:strict")
    ids = [event_id(NAME, *pair, name) for pair in zip(rows["symbol"], t0, strict=True)]
    numbered = rows.with_columns(
        pl.Series("event_id", ids, dtype=pl.String), known="exit_session", taken=pl.col("decision") == "taken"
    )
    return completed(numbered, market, strategy=NAME, variant=name, holding_sessions=settings.exit.max_holding_days)
