"""What stands beside learnt weights: ways to choose them that need no agent."""

from typing import NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray

from bq.core.log import only_errors
from bq.learning.sample import Rows
from bq.learning.weighing import LEAST, MOST, STEP, WHOLE, Array, Grid, Sessions
from bq.strategies.weighing import Parts
from bq.tuning import study
from bq.tuning.study import Infeasible, Values

QUANTILES = (0.01, 0.99)  # of results, between which Hedge takes them for a reward from 0 to 1
RIDGE = 1.0  # penalty, in events' worth for each event: coefficients are halved


class Hedged(NamedTuple):
    """What Hedge made of the points, session by session."""

    earned: Array  # (n,) its mean over the points, weighed as it weighed them before the session
    weights: Array  # (n, n_components) mean shares
    regret: float  # reward of the best constant point less its own, over all sessions; rewards are from 0 to 1
    bound: float  # that regret is at most this where each result is known before the next session


def hedge(sessions: Sessions, grid: Grid, low: float, high: float) -> Hedged:
    """Hedge over all points of the grid: each is weighed by what it has earned of what had matured.

    low, high : results that count as a reward of 0 and of 1, beyond which they are cut. Regret is at most
    √(T / 2 · ln N) for rewards that are known at once (Freund & Schapire 1997, doi:10.1006/jcss.1997.1504; Cesa-Bianchi
    & Lugosi 2006, theorem 2.2); here they are known some sessions later, which costs more.
    """
    n, points = sessions.matured, len(grid.points)
    reward = np.clip((sessions.results[:n] - low) / max(high - low, 1e-12), 0.0, 1.0)
    rate = np.sqrt(8.0 * np.log(points) / max(n, 1))
    total = np.vstack([np.zeros(points), reward.cumsum(axis=0)])
    gains = rate * total[np.minimum(sessions.known, n)]
    share = np.exp(gains - gains.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    earned = (share * sessions.results).sum(axis=1)
    regret = float(total[-1].max() - (share[:n] * reward).sum())
    return Hedged(earned, share @ grid.shares, regret, float(np.sqrt(n / 2.0 * np.log(points))))


def constant(sessions: Sessions, rows: Rows, grid: Grid, *, given: NDArray, trials: int, seed: int) -> int:
    """The best constant point that Optuna finds on training sessions, of so many trials."""
    place = {tuple(point): i for i, point in enumerate(grid.points.tolist())}
    mean = sessions.results[rows].mean(axis=0)
    names = [f"weight_{i}" for i in range(grid.points.shape[1] - 1)]

    def evaluate(number: int, values: Values) -> tuple[float, Values]:
        chosen = [int(values[name]) for name in names]
        point = place.get((*chosen, WHOLE - sum(chosen)))
        if point is None:
            raise Infeasible("the last weight would lie outside its bounds")
        return float(mean[point]), {"point": point}

    ranges: study.Ranges = {name: optuna.distributions.IntDistribution(LEAST, MOST, step=STEP) for name in names}
    first = dict(zip(names, grid.points[grid.nearest(given)].tolist(), strict=False))
    under_way = study.begin(None, ranges, seed=seed, first=first)
    with only_errors():
        study.run(under_way, evaluate, trials=trials)
    return int(study.best(under_way).user_attrs["point"])


def leader(sessions: Sessions, rows: Rows) -> int:
    """The best constant point of training sessions, of all of them."""
    return int(sessions.results[rows].mean(axis=0).argmax())


def ridge(parts: Parts, outcome: Array, session: NDArray, grid: Grid) -> int:
    """The point nearest to a ridge regression of outcomes on components, within sessions of the training.

    Coefficients below 0 count as 0; the weights are in proportion to the others. Where none is above 0 all are equal.
    """
    from sklearn.linear_model import Ridge

    starts = np.flatnonzero(np.diff(session, prepend=session[:1] - 1))
    sizes = np.diff(np.append(starts, len(session)))[:, None]

    def centred(values: Array) -> Array:
        return values - np.repeat(np.add.reduceat(values, starts, axis=0) / sizes, sizes[:, 0], axis=0)

    x, y = centred(parts.values), centred(outcome[:, None])[:, 0]
    fitted = Ridge(alpha=RIDGE * float((x**2).sum(axis=0).mean()), fit_intercept=False).fit(x, y)
    found = np.maximum(fitted.coef_, 0.0)
    return grid.nearest(found / found.sum() if found.sum() > 0 else np.full(len(found), 1.0 / len(found)))


def bandit(reward: Array, *, pulls: int, seed: int) -> int:
    """The point of the highest mean after so many pulls, each on a session at random: it looks at nothing else.

    reward : of training sessions, (n, n_points). UCB1 (Auer et al. 2002, doi:10.1023/A:1013689704352) with the spread
    of the rewards in the place of their range.
    """
    rng, points = np.random.default_rng(seed), reward.shape[1]
    spread, drawn = float(reward.std()), rng.integers(len(reward), size=pulls)
    counts, sums = np.zeros(points), np.zeros(points)
    order = rng.permutation(points)
    for pull, row in enumerate(drawn):
        if pull < points:
            arm = order[pull]
        else:
            arm = int((sums / counts + spread * np.sqrt(2.0 * np.log(pull) / counts)).argmax())
        counts[arm] += 1
        sums[arm] += reward[row, arm]
    return int(np.where(counts > 0, sums / np.maximum(counts, 1), -np.inf).argmax())
