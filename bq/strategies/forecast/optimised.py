"""Weights of one rebalance by convex optimisation: formulated here, canonicalised by cvxpy, solved by Clarabel.

A problem is made once for a number of names, with what differs between rebalances as its parameters: to canonicalise it
takes five times as long as to solve it. The tests compare with skfolio, which makes it anew for every rebalance.
"""

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import cvxpy

CORRELATION = 0.3  # between any two names: the constant-correlation model of Elton & Gruber 1973
OVERSTEP = 100.0  # price of turnover beyond its limit, in z-scores: it is paid only where a limit cannot hold

Array = NDArray[np.float64]


class Asked(NamedTuple):
    """One rebalance; arrays of shape (n_names,) but where they say otherwise."""

    view: Array  # cross-sectional z-scores; 0: none
    volatility: Array  # relative to the median name's
    risk_aversion: float
    long_only: bool  # weights are not negative and sum to 1; else they sum to 0, half of the capital on either side
    largest: float  # position
    member: Array  # (n_groups, n_names), 1: the name is in the group
    limits: Array  # (n_groups,), of the sum of each group's weights, long-short on either side
    before: Array | None  # weights that are held; None: bought from cash, whatever the turnover
    room: float = 0.0  # of the sum of what is bought and sold


def weights(asked: Asked) -> Array | None:
    """The weights w that maximise view·w − risk_aversion · n · variance, shape (n_names,); None where there are none.

    The variance is of w less equal weight, long-short of w. Variances are relative to the median name's, with one
    correlation between all: a factor and a diagonal, from trailing volatilities alone. (An estimate of all covariances
    needs far more sessions than names.)
    """
    import cvxpy

    n = len(asked.view)
    problem, found = _problem(n, len(asked.limits), asked.long_only, asked.before is not None)
    scale = np.sqrt(asked.risk_aversion * n)
    known = {
        "view": asked.view,
        "common": scale * np.sqrt(CORRELATION) * asked.volatility,
        "own": scale * np.sqrt(1.0 - CORRELATION) * asked.volatility,
        "largest": asked.largest,
        "member": asked.member,
        "limits": asked.limits,
        "before": asked.before,
        "room": asked.room,
    }
    for name, parameter in problem.param_dict.items():
        parameter.value = known[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a solution that may be inaccurate
        try:
            problem.solve(solver=cvxpy.CLARABEL, warm_start=False)  # so that no rebalance depends on the one before
        except cvxpy.SolverError:
            return None
    return found.value


@lru_cache(maxsize=32)
def _problem(n: int, groups: int, long_only: bool, held: bool) -> tuple["cvxpy.Problem", "cvxpy.Variable"]:
    """The problem of so many names and groups, and its weights."""
    import cvxpy

    w = cvxpy.Variable(n)
    common, own = cvxpy.Parameter(n, name="common"), cvxpy.Parameter(n, name="own")
    away = w - 1.0 / n if long_only else w
    utility = cvxpy.Parameter(n, name="view") @ w
    utility -= cvxpy.square(common @ away) + cvxpy.sum_squares(cvxpy.multiply(own, away))
    largest = cvxpy.Parameter(nonneg=True, name="largest")
    limits = [w <= largest]
    limits += [cvxpy.sum(w) == 1.0, w >= 0.0] if long_only else [cvxpy.sum(w) == 0.0, w >= -largest]
    if not long_only:
        limits.append(cvxpy.norm1(w) <= 1.0)
    if groups:
        member, most = cvxpy.Parameter((groups, n), name="member"), cvxpy.Parameter(groups, name="limits")
        limits += [member @ w <= most] if long_only else [cvxpy.abs(member @ w) <= most]
    if held:
        traded = cvxpy.norm1(w - cvxpy.Parameter(n, name="before"))
        utility -= OVERSTEP * cvxpy.pos(traded - cvxpy.Parameter(nonneg=True, name="room"))
    return cvxpy.Problem(cvxpy.Maximize(utility), limits), w
