"""Many comparisons: false discoveries among those of a day, and a budget of false alarms across days."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def benjamini_yekutieli(p: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values, valid whatever the dependence: rejecting those <= q keeps the false discovery rate at q.

    p : array of shape (n,); NaN is no test, and stays NaN. Where nothing is true, their minimum is below q with
    probability <= q. Benjamini & Yekutieli 2001, doi:10.1214/aos/1013699998.

    >>> benjamini_yekutieli([0.001, 0.02, 0.04]).round(5).tolist()
    [0.0055, 0.055, 0.07333]
    """
    p = np.asarray(p, np.float64)
    adjusted, known = np.full(p.shape, np.nan), np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    tests = np.arange(1, len(order) + 1)
    scaled = p[order] * len(order) * (1.0 / tests).sum() / tests
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


def level_of_a_check(*, alarms_a_year: float, checks_a_year: float, most: float = 0.05) -> float:
    """Level of each check at which those of a year raise no more false alarms than the budget, on average.

    checks_a_year : of checks that share no data; one looked at again on the days between is the same one. An online
    false discovery rule would spend its wealth on the first: after 12 checks LORD++ at 5 % (Ramdas et al. 2017,
    arXiv 1710.00499) asks p < .0001, which few blocks of a training cannot tell from .001.

    >>> level_of_a_check(alarms_a_year=0.25, checks_a_year=12.5), level_of_a_check(alarms_a_year=1, checks_a_year=4)
    (0.02, 0.05)
    """
    return min(most, alarms_a_year / checks_a_year)
