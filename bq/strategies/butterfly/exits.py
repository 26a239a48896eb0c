"""When a position is closed: one rule for label, replay and broker."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.strategies.butterfly.settings import Label, holding_days

HOLD, TAKE_PROFIT, STOP = range(3)
REASONS = ("", "take profit", "stop")


class Span(NamedTuple):
    """Until when positions are held, by the calendar; arrays of shape (n_events,)."""

    planned: NDArray[np.datetime64]  # session from which they are closed
    due: NDArray[np.datetime64]  # to which a price for it is waited for


def span(
    session: NDArray[np.datetime64], dte_days: NDArray[np.int64], calendar: NDArray[np.datetime64], rule: Label
) -> Span:
    """The holding horizon of positions decided at the close of `session`, and how long it may be overstayed."""
    holding = np.array([holding_days(int(dte)) for dte in dte_days], "timedelta64[D]")
    planned = np.searchsorted(calendar, session + holding, side="left")
    return Span(calendar[planned], calendar[planned + rule.carry_sessions])


def triggered(
    profit: NDArray[np.float64], max_profit: NDArray[np.float64], risk: NDArray[np.float64], rule: Label
) -> NDArray[np.int64]:
    """Whether each position is closed at this mark: HOLD, TAKE_PROFIT or STOP.

    profit : value at the mid price less what was paid. max_profit, risk : most that can be made and lost. The rule
    looks at mid prices, as a trader's screen does; the fill that follows pays its costs. NaN holds on. Where nothing
    can be made (the market moved away before the entry) there is no profit to take.
    """
    result = np.full(np.shape(profit), HOLD)
    if rule.stop_loss is not None:
        result[profit <= -rule.stop_loss * risk] = STOP
    if rule.take_profit is not None:
        result[(profit >= rule.take_profit * max_profit) & (max_profit > 0)] = TAKE_PROFIT
    return result


def late(*, last_price: NDArray[np.bool_], expired: NDArray[np.bool_]) -> NDArray[np.str_]:
    """Why a position is closed that no trigger closed. last_price : no price came any more. expired : at settlement."""
    return np.where(last_price, "last price", np.where(expired, "settled", "horizon"))
