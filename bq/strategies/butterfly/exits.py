"""When a position is closed before its horizon: one rule for label, replay and broker."""

import numpy as np
from numpy.typing import NDArray

from bq.strategies.butterfly.settings import Label

HOLD, TAKE_PROFIT, STOP = range(3)
REASONS = ("", "take profit", "stop")


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
