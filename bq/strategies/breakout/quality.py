"""What a model's probabilities make of the signals: who is served first, and what the portfolio earns with and without.

`answers` are frames of session, symbol and probability: P(R > 0) of the signals that have one; and `traded`, whether
the model's policy trades them (null or no such column: it does not say).
"""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from bq.core.numerals import decimal, significant
from bq.market.matrix import Mask
from bq.strategies.breakout.backtest import Backtest, Signals, backtest, priorities, signals
from bq.strategies.breakout.prepare import Array, Prepared, prepare
from bq.strategies.breakout.settings import BreakoutSettings

if TYPE_CHECKING:
    from bq.market import MarketData

MODES = ("score_enhancement", "filter", "replace")
OFF = "off"  # in place of a mode: the rule score alone


def priority(market: "MarketData", settings: BreakoutSettings, answers: pl.DataFrame) -> pl.DataFrame:
    """The priority that the backtester gives each signal of a market; null: not traded.

    Returns session, symbol, priority, sorted by both. Where `ml` is not enabled the priority is the rule score.
    """
    prepared = prepare(market, settings.universe)
    found = signals(prepared, settings)
    weighed = priorities(found, aligned(prepared, found, answers), settings, refused(prepared, found, answers))
    return _keys(prepared, found).with_columns(priority=pl.Series(weighed).fill_nan(None))


def backtested(
    market: "MarketData",
    settings: BreakoutSettings,
    answers: pl.DataFrame | None = None,
    *,
    start: dt.date | None = None,
) -> Backtest:
    """The portfolio on a market, its sessions from `start` on; answers : None where `ml` is not enabled."""
    prepared = prepare(market, settings.universe)
    if answers is None:
        return backtest(prepared, settings, start=start)
    found = signals(prepared, settings)
    probability, out = aligned(prepared, found, answers), refused(prepared, found, answers)
    return backtest(prepared, settings, probability=probability, refused=out, start=start)


def aligned(prepared: Prepared, found: Signals, answers: pl.DataFrame) -> Array:
    """The probability of each signal, shape (n_signals,); NaN where none is known."""
    known = _keys(prepared, found).join(answers, on=["session", "symbol"], how="left", maintain_order="left")
    return known["probability"].cast(pl.Float64).fill_null(np.nan).to_numpy()


def refused(prepared: Prepared, found: Signals, answers: pl.DataFrame) -> Mask:
    """Which signals the model's policy does not trade, shape (n_signals,)."""
    if "traded" not in answers.columns:
        return np.zeros(len(found.session), bool)
    known = _keys(prepared, found).join(answers, on=["session", "symbol"], how="left", maintain_order="left")
    return (~known["traded"]).fill_null(False).to_numpy()


def reason(decision: Mapping[str, Any], settings: BreakoutSettings) -> list[str]:
    """What decided on a signal, in clauses; decision : score, probability, predicted_by, traded, priority."""
    score, by, ml = f"rule score {decimal(decision['score'])}", decision["predicted_by"], settings.ml
    if not ml.enabled:
        return [score, "no model is used (ml.enabled is false)"]
    if by is None:
        return [score, "no out-of-sample probability is known"]
    chance = f"P(R > 0) {decimal(decision['probability'])} ({by})"
    if decision["traded"] is False:
        return [f"{chance}, not among those that the model expects enough of (policy.above, policy.k): not traded"]
    if decision["priority"] is None:
        return [f"{chance}, below the {significant(ml.confidence_threshold, 6)} threshold: not traded"]
    return [f"{chance}, {score}, mode {ml.prediction_mode}"]


def with_mode(settings: BreakoutSettings, mode: str) -> BreakoutSettings:
    """The settings with a mode of `ml`, or OFF."""
    chosen = {"enabled": False} if mode == OFF else {"enabled": True, "prediction_mode": mode}
    return settings.model_copy(update={"ml": settings.ml.model_copy(update=chosen)})


def in_modes(
    prepared: Prepared, settings: BreakoutSettings, answers: pl.DataFrame, *, start: dt.date
) -> dict[str, Backtest]:
    """The portfolio from fresh capital on the sessions from `start` on: without a model, and in each mode."""
    found = signals(prepared, settings)
    probability, out = aligned(prepared, found, answers), refused(prepared, found, answers)
    return {
        mode: backtest(prepared, with_mode(settings, mode), probability=probability, refused=out, start=start)
        for mode in (OFF, *MODES)
    }


def _keys(prepared: Prepared, found: Signals) -> pl.DataFrame:
    days = pl.Series("session", prepared.sessions[found.session]).cast(pl.Date)
    names = pl.Series("symbol", np.array(prepared.symbols, dtype=object)[found.symbol].tolist(), dtype=pl.String)
    return pl.DataFrame([days, names])
