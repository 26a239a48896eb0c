"""From strikes and an expiry that a model chose to those that are listed."""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

from bq.strategies.desk import Leg

FARTHEST_DAYS = 10  # of a listed expiry from the one that is wanted
FARTHEST_STEP = 0.5  # of a listed strike from the one that is wanted, in wings


class Chain(NamedTuple):
    """What is listed of an underlying under one trading class."""

    root: str
    multiplier: int
    expiries: tuple[dt.date, ...]
    strikes: tuple[float, ...]


def snapped(legs: tuple[Leg, ...], chains: Sequence[Chain]) -> tuple[Leg, ...] | None:
    """Legs on the nearest listed expiry and strikes, of the same shape; None where there is none like it.

    The body goes to the nearest strike, the wings to the nearest width that is listed on both sides. The later of two
    expiries that are equally near, the wider of two widths.

    >>> from bq.strategies.desk import Right
    >>> day, wanted = dt.date(2019, 6, 20), ((1, 95.3), (-2, 100.2), (1, 105.1))
    >>> fly = tuple(Leg("A", ratio, None, day, strike, Right.CALL, 100) for ratio, strike in wanted)
    >>> chain = Chain("A", 100, (dt.date(2019, 6, 21),), (90.0, 95.0, 100.0, 105.0, 110.0))
    >>> [leg.contract for leg in snapped(fly, [chain])]
    ['A 20190621 C 95', 'A 20190621 C 100', 'A 20190621 C 105']
    """
    found = [made for chain in chains if (made := _on(legs, chain)) is not None]
    return min(found, key=lambda made: _distance(legs, made), default=None)


def _on(legs: tuple[Leg, ...], chain: Chain) -> tuple[Leg, ...] | None:
    wanted = legs[0].expiry
    if wanted is None or chain.multiplier != legs[0].multiplier or (legs[0].root or chain.root) != chain.root:
        return None
    expiry = min(chain.expiries, key=lambda day: (abs((day - wanted).days), -day.toordinal()), default=None)
    if expiry is None or abs((expiry - wanted).days) > FARTHEST_DAYS:
        return None
    strikes = sorted({leg.strike for leg in legs if leg.strike is not None})
    to = _strikes(strikes, chain.strikes)
    if to is None:
        return None
    return tuple(
        leg._replace(root=chain.root, expiry=expiry, strike=to[leg.strike]) for leg in legs if leg.strike is not None
    )


def _strikes(wanted: list[float], listed: Sequence[float]) -> dict[float, float] | None:
    """Where each strike goes: one body between two wings of the same width."""
    low, body, high = wanted[0], wanted[len(wanted) // 2], wanted[-1]
    width, there = (high - low) / 2.0, set(listed)
    if len(wanted) != 3 or width <= 0.0 or not there:
        return None
    middle = min(there, key=lambda strike: abs(strike - body))
    widths = [strike - middle for strike in there if strike > middle and 2.0 * middle - strike in there]
    near = min(widths, key=lambda one: (abs(one - width), -one), default=None)
    if near is None or max(abs(near - width), abs(middle - body)) > FARTHEST_STEP * width:
        return None
    return {low: middle - near, body: middle, high: middle + near}


def _distance(legs: tuple[Leg, ...], made: tuple[Leg, ...]) -> tuple[int, float]:
    """How far off legs are: days, then strikes."""
    days = abs((made[0].expiry - legs[0].expiry).days) if made[0].expiry and legs[0].expiry else 0
    return days, sum(abs((new.strike or 0.0) - (old.strike or 0.0)) for new, old in zip(made, legs, strict=True))
