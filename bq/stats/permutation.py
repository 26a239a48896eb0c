"""How likely a figure is where it is found by chance: its rank among those of permuted data."""

from collections.abc import Sequence


def p_value(real: float, permuted: Sequence[float]) -> float:
    """Share of all figures, the real one included, that are at least as large as it.

    With n permuted ones never below 1 / (n + 1): Phipson and Smyth 2010, doi:10.2202/1544-6115.1585.

    >>> p_value(0.3, [0.1, 0.2, 0.4])
    0.5
    """
    return (1 + sum(value >= real for value in permuted)) / (1 + len(permuted))
