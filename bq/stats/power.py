"""How much evidence a difference takes, before it is looked for."""

import math
from typing import NamedTuple

from bq.core.errors import BadParameters
from bq.stats.sequential import LEAST, student_radius

MOST = 10**7  # observations beyond which nobody waits


class Arms(NamedTuple):
    """Trades that each side of a comparison needs."""

    better: int
    base: int


def trades(base: float, better: float, *, share: float = 0.5, alpha: float = 0.05, power: float = 0.8) -> Arms:
    """Independent trades that tell two win rates apart with probability `power`, at two-sided `alpha`, looked at once.

    base, better : the win rates. share : of the trades that are the better side's. To the nearest trade.

    Fleiss, Levin & Paik 2003, doi:10.1002/0471445428, sections 4.2 and 4.3, without correction for continuity.

    >>> trades(0.25, 0.35), trades(0.25, 0.35, share=0.7)
    (Arms(better=328, base=328), Arms(better=555, base=238))
    """
    from scipy.special import ndtri

    if not (0.0 < base < 1.0 and 0.0 < better < 1.0 and base != better and 0.0 < share < 1.0):
        raise BadParameters(
            f"win rates must be two different numbers between 0 and 1, and the share lie between them too, but got "
            f"{base:g}, {better:g} and a share of {share:g}."
        )
    weight = share / (1.0 - share)
    pooled = share * better + (1.0 - share) * base
    chance = float(ndtri(1.0 - alpha / 2.0)) * math.sqrt((1.0 + 1.0 / weight) * pooled * (1.0 - pooled))
    apart = float(ndtri(power)) * math.sqrt(base * (1.0 - base) + better * (1.0 - better) / weight)
    n = ((chance + apart) / (better - base)) ** 2
    return Arms(round(weight * n), round(n))


def observations(effect: float, *, alpha: float, sharpest_at: int, power: float = 0.8) -> int | None:
    """Independent observations after which the confidence sequence of a mean excludes 0 with probability `power`.

    effect : true mean in standard deviations of one observation; its sign does not matter. alpha, sharpest_at : of the
    sequence. The probability is that of the bound at that observation, by the normal distribution: who looks at every
    one before has a slightly higher one. None: more than `MOST`.

    >>> observations(0.3, alpha=0.05, sharpest_at=100), observations(0.0, alpha=0.05, sharpest_at=100)
    (173, None)
    """
    from scipy.special import ndtri

    needed = float(ndtri(power))

    def reached(t: int) -> bool:
        return math.sqrt(t) * (abs(effect) - float(student_radius(t, alpha=alpha, sharpest_at=sharpest_at))) >= needed

    if not reached(MOST):
        return None
    low, high = LEAST - 1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def years(difference: float, *, correlation: float = 0.0, alpha: float = 0.05, power: float = 0.8) -> float:
    """Years that tell two annual Sharpe ratios apart with probability `power`, at two-sided `alpha`, looked at once.

    correlation : of the returns of both. Ratios that are small for their period: variance 2(1 − correlation) a year.

    >>> round(years(1.0), 1), round(years(1.0, correlation=0.9), 1)
    (15.7, 1.6)
    """
    from scipy.special import ndtri

    if difference == 0.0:
        return math.inf
    z = float(ndtri(1.0 - alpha / 2.0)) + float(ndtri(power))
    return 2.0 * (1.0 - correlation) * (z / difference) ** 2
