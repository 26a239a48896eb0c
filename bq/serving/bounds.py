"""A lower bound against a threshold, as a component of the gate: what was found, and what would be needed."""

import math

import polars as pl

from bq.core.settings import Gate
from bq.stats.bootstrap import Interval
from bq.strategies.component import Component

DAYS_A_MONTH = 30.44
SAME = "choices that differ: these earned the same on every session"
NOISE = 1e-9  # of sums of the same numbers in another order


def bound(
    name: str, interval: Interval, threshold: float, settings: Gate, sample: pl.DataFrame, beside: str = ""
) -> Component:
    """A one-sided bootstrap lower bound against a threshold; too few blocks are inconclusive."""
    days = (sample["session"].max() - sample["session"].min()).days
    statement = (
        f"{interval}{beside}; lower bound must exceed {threshold:+.3f}; "
        f"{interval.n} sessions, {interval.blocks:.0f} blocks"
    )
    if not interval.blocks >= settings.min_blocks:
        more = more_time(days * (settings.min_blocks / max(interval.blocks, 1e-9) - 1.0))
        missing = SAME if _same(interval, threshold) else more
        return Component.of(name, None, f"{statement} (at least {settings.min_blocks})", missing)
    if interval.low > threshold:
        return Component.of(name, True, statement, "")
    return Component.of(name, False, statement, needed(interval, threshold, days))


def needed(interval: Interval, threshold: float, days: int) -> str:
    """How much more time would settle it at the same mean, or how much better it would have to be."""
    if _same(interval, threshold):
        return SAME
    better = f"a mean higher by {least(threshold - interval.low)}"
    distance = interval.mean - threshold
    if distance <= 0:
        return better
    factor = ((interval.mean - interval.low) / distance) ** 2  # the interval shrinks with the square root of time
    return f"{more_time(days * (factor - 1.0))} at this mean, or {better}"


def _same(interval: Interval, threshold: float) -> bool:
    """Whether two series differ by the threshold on every session: no time and no mean tells them apart."""
    return max(abs(interval.low - threshold), abs(interval.high - threshold)) < NOISE


def least(short: float) -> str:
    """What is missing to a bound, never shown as nothing."""
    return f"{max(short, 0.001):.3f}"


def more_time(days: float) -> str:
    """Days in words."""
    months = max(math.ceil(days / DAYS_A_MONTH), 1)
    unit = "month" if months == 1 else "months"
    return f"about {months} more {unit}" if months <= 120 else "more than 10 more years"
