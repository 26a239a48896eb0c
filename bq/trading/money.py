"""Money as whole numbers: ten-thousandths of the currency, so that sums are exact."""

import math
from decimal import Decimal

PARTS = 10_000


def parts(amount: float) -> int:
    """An amount or a price in whole ten-thousandths, the nearest.

    >>> parts(10.03), parts(-0.1)
    (100300, -1000)

    Raises ValueError for an amount that is not finite.
    """
    if not math.isfinite(amount):
        raise ValueError(f"an amount must be finite, but got {amount}")
    return round(amount * PARTS)


def amount(whole: int) -> Decimal:
    """What so many ten-thousandths are.

    >>> amount(100305)
    Decimal('10.0305')
    """
    return Decimal(whole) / PARTS


def cents(whole: int) -> Decimal:
    """The same to the cent, half a cent to the even one.

    >>> cents(100350), cents(-100350)
    (Decimal('10.04'), Decimal('-10.04'))
    """
    return amount(whole).quantize(Decimal("0.01"))
