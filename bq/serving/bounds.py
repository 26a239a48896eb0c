"""A lower confidence bound against a threshold, as a component of the gate, with its distance from holding."""

from typing import Any

import polars as pl

from bq.core.scalars import day
from bq.core.settings import Gate, Settings
from bq.stats.blocks import Blocks, block_length
from bq.stats.bootstrap import Interval
from bq.stats.year import DAYS_A_MONTH
from bq.strategies.component import Component, Kind, Missing, of_interval

NOISE = 1e-9  # rounding error of the same sum in another order


def blocks(events: pl.DataFrame, settings: Settings, sessions: pl.Series | None = None) -> Blocks:
    """Block bootstrap of a stream of events, or of a series on some of its sessions."""
    gate = settings.gate
    return Blocks(block_length(events, sessions), gate.alpha, gate.draws, settings.learning.seed)


def mean_of(values: pl.DataFrame, events: pl.DataFrame, settings: Settings) -> Interval | None:
    """Mean of a session's values (session, value) with its interval; None where there is no session.

    events : whose holding times say how long the blocks are.
    """
    if values.is_empty():
        return None
    return blocks(events, settings, values["session"]).mean(values["value"].to_numpy())


def bound(
    kind: Kind, interval: Interval, threshold: float, settings: Gate, sample: pl.DataFrame, **facts: Any
) -> Component:
    """A one-sided bootstrap lower bound that must exceed a threshold; too few blocks are inconclusive.

    facts : further ones of the component.
    """
    days = (day(sample["session"].max()) - day(sample["session"].min())).days
    enough = interval.blocks >= settings.min_blocks
    missing = distance(interval, threshold, days) if enough else more_blocks(interval, threshold, days, settings)
    asked = {"threshold": threshold, "least_blocks": settings.min_blocks, "alpha": settings.alpha}
    holds = interval.low - threshold > NOISE if enough else None
    return Component.asked(kind, holds, missing, **of_interval(interval) | asked | facts)


def point(
    kind: Kind, interval: Interval, threshold: float, settings: Gate, sample: pl.DataFrame, **facts: Any
) -> Component:
    """A mean that must exceed a threshold, whatever its interval; too few blocks are inconclusive.

    For what another component's bound is asked beside.
    """
    days = (day(sample["session"].max()) - day(sample["session"].min())).days
    enough, ahead = interval.blocks >= settings.min_blocks, interval.mean - threshold
    missing = Missing(identical=True) if _same(interval, threshold) else Missing(by=-ahead)
    if not enough:
        missing = more_blocks(interval, threshold, days, settings)
    asked = {"threshold": threshold, "least_blocks": settings.min_blocks}
    return Component.asked(kind, ahead > NOISE if enough else None, missing, **of_interval(interval) | asked | facts)


def more_blocks(interval: Interval, threshold: float, days: int, settings: Gate) -> Missing:
    """How much more time makes as many blocks as are asked for and, at the same mean, a bound that holds.

    Where the mean is not above the threshold no time is enough: then also by how much it must rise at least.
    """
    if _same(interval, threshold):
        return Missing(identical=True)
    enough = days * (settings.min_blocks / max(interval.blocks, 1e-9) - 1.0) / DAYS_A_MONTH
    ahead = interval.mean - threshold
    if not ahead > 0:
        return Missing(by=-ahead, months=enough)
    return Missing(months=max(enough, distance(interval, threshold, days).months or 0.0))


def distance(interval: Interval, threshold: float, days: int) -> Missing:
    """How much more time would make it hold at the same mean, and by how much the mean must rise."""
    if _same(interval, threshold):
        return Missing(identical=True)
    ahead, by = interval.mean - threshold, threshold - interval.low
    if ahead <= 0:
        return Missing(by=by)
    factor = ((interval.mean - interval.low) / ahead) ** 2  # the interval shrinks with the square root of time
    return Missing(by=by, months=days * (factor - 1.0) / DAYS_A_MONTH)


def _same(interval: Interval, threshold: float) -> bool:
    """Whether two series differ by exactly the threshold on every session: more time changes nothing."""
    return max(abs(interval.low - threshold), abs(interval.high - threshold)) < NOISE
