"""What learnt weights earned beside every comparator: session by session, then as means with intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.settings import Settings
from bq.learning.sample import Rows
from bq.learning.weighing import Array, weighing_of
from bq.serving.bounds import blocks
from bq.stats.bootstrap import LEAST_BLOCKS, Interval
from bq.tuning.weights import comparators
from bq.tuning.weights.environment import rewards
from bq.tuning.weights.study import Ask, Walked, followed

GIVEN, LEARNT = "given", "learnt"
BESIDE = ("constant", "leader", "hedge", "ridge", "bandit")  # comparators, in the order in which they are shown
WALKED, HELD_OUT = "walk-forward", "holdout"
DRAWS = 2_000  # of the stratified bootstrap


class Beside(NamedTuple):
    """What each way of choosing earned."""

    curves: pl.DataFrame  # session, part, block, given, learnt, seed_0 …, the comparators, weight_<component>
    hedge: comparators.Hedged
    points: dict[str, list[int]]  # of constant comparators: the point in each part, the holdout last


def beside(walked: Walked, events: pl.DataFrame, ask: Ask) -> Beside:
    """Follow the agents and all comparators through the test blocks and the holdout, in that order.

    events : the matured ones that were walked. Each comparator knows what the agent of the same part knew.
    """
    sessions, grid, first = walked.sessions, walked.grid, walked.parts[0].train
    low, high = np.quantile(sessions.results[first], comparators.QUANTILES)
    hedged = comparators.hedge(sessions, grid, float(low), float(high))
    points = {name: [_constant(name, walked, one.train, events, ask) for one in walked.parts] for name in BESIDE[:2]}
    points |= {name: [_constant(name, walked, one.train, events, ask) for one in walked.parts] for name in BESIDE[3:]}
    names, frames = weighing_of(ask.strategy).components, []
    for place, (one, test, own) in enumerate(followed(walked)):
        seeds = {
            f"seed_{i}": sessions.results[test, walked.paths[place, i, test]] for i in range(walked.paths.shape[1] - 1)
        }
        others = {name: sessions.results[test, of[place]] for name, of in points.items()}
        columns = {
            GIVEN: sessions.given[test],
            LEARNT: sessions.results[test, own],
            **seeds,
            **{name: hedged.earned[test] if name == "hedge" else others[name] for name in BESIDE},
            **{f"weight_{name}": grid.shares[own, i] for i, name in enumerate(names)},
        }
        where = {"part": HELD_OUT if one.number == 0 else WALKED, "block": one.number}
        frame = pl.DataFrame({"session": sessions.session.gather(test), **columns})
        frames.append(frame.with_columns(**{name: pl.lit(value) for name, value in where.items()}))
    return Beside(pl.concat(frames), hedged, points)


def _constant(name: str, walked: Walked, train: Rows, events: pl.DataFrame, ask: Ask) -> int:
    """The point that a comparator chooses in a training window."""
    sessions, grid, settings = walked.sessions, walked.grid, ask.settings
    seed = settings.tuning.seed
    if name == "leader":
        return comparators.leader(sessions, train)
    if name == "constant":
        given = np.array(weighing_of(ask.strategy).given(settings))
        return comparators.constant(sessions, train, grid, given=given, trials=settings.tuning.trials, seed=seed)
    if name == "bandit":
        earned = rewards(sessions.results[train], sessions.given[train], sessions.given[train])
        return comparators.bandit(earned, pulls=ask.plan.steps, seed=seed)
    own = events.filter(pl.col("session").is_in(sessions.session.gather(train).implode())).sort("session", "event_id")
    parts = weighing_of(ask.strategy).parts(own, settings)
    day = own["session"].to_physical().to_numpy()
    return comparators.ridge(parts, own["outcome"].cast(pl.Float64).to_numpy(), day, grid)


def gains(curves: pl.DataFrame, events: pl.DataFrame, settings: Settings, part: str) -> dict[str, dict[str, Interval]]:
    """Of each way of choosing: what it earned a session, and more than others, with intervals: `net`, `over_<other>`.

    events : of those sessions at least. Intervals by stationary bootstrap; of fewer than five blocks by `of_groups`.
    """
    own = curves.filter(pl.col("part") == part).sort("session")
    there = events.join(own.select("session"), on="session", how="semi")
    how = blocks(there, settings, own["session"])
    others = (GIVEN, *BESIDE)
    wanted = {(name, "net"): own[name] for name in (GIVEN, LEARNT, *BESIDE)}
    wanted |= {(LEARNT, f"over_{other}"): own[LEARNT] - own[other] for other in others}
    wanted |= {(name, f"over_{GIVEN}"): own[name] - own[GIVEN] for name in BESIDE}
    values = np.column_stack([one.to_numpy() for one in wanted.values()])
    found: dict[str, dict[str, Interval]] = {}
    for (name, what), column, interval in zip(wanted, values.T, how.means(values), strict=True):
        few = interval.blocks < LEAST_BLOCKS
        shown = of_groups(column, block=how.block, alpha=how.alpha) if few else interval
        found.setdefault(name, {})[what] = shown
    return found


def of_groups(values: Array, *, block: float, alpha: float) -> Interval:
    """Mean with the interval of few groups of neighbours, each of a block: Student's, of the groups' means.

    Valid for dependent and uneven groups (Ibragimov & Müller 2010, doi:10.1198/jbes.2009.08046), and as wide as so few
    must be. No interval of fewer than two groups.
    """
    from scipy.special import stdtrit

    n, groups = len(values), int(len(values) / max(block, 1.0))
    mean = float(np.mean(values)) if n else np.nan
    if groups < 2:
        return Interval(mean, np.nan, np.nan, n, n / max(block, 1.0))
    means = np.array([part.mean() for part in np.array_split(values, groups)])
    reach = float(stdtrit(groups - 1, 1.0 - alpha) * means.std(ddof=1) / np.sqrt(groups))
    middle = float(means.mean())
    return Interval(mean, middle - reach, middle + reach, n, n / max(block, 1.0))


class Spread(NamedTuple):
    """Interquartile mean of what single seeds gained over blocks of time, and its interval over seeds."""

    mean: float
    low: float
    high: float
    seeds: int
    blocks: int


def over_seeds(curves: pl.DataFrame, *, alpha: float, seed: int) -> Spread:
    """The gain of single seeds over the given weights in each test block: its interquartile mean.

    The interval is of the choice of seeds alone, by a bootstrap that draws seeds anew within each block (stratified;
    Agarwal et al. 2021, arXiv:2108.13264). It says nothing about the market.
    """
    own = curves.filter(pl.col("part") == WALKED)
    names = [name for name in own.columns if name.startswith("seed_")]
    means = own.group_by("block").agg(pl.col(name).mean() - pl.col(GIVEN).mean() for name in names).sort("block")
    return interquartile(means.select(names).to_numpy().T, alpha=alpha, seed=seed)


def interquartile(values: NDArray, *, alpha: float, seed: int) -> Spread:
    """Interquartile mean of values of shape (n_seeds, n_blocks), with its stratified bootstrap interval."""
    from scipy.stats import trim_mean

    seeds, strata = values.shape
    rng = np.random.default_rng(seed)
    drawn = rng.integers(seeds, size=(DRAWS, seeds, strata))
    again = values[drawn, np.arange(strata)].reshape(DRAWS, -1)
    low, high = np.quantile(trim_mean(again, 0.25, axis=1), [alpha, 1.0 - alpha])
    return Spread(float(trim_mean(values.ravel(), 0.25)), float(low), float(high), seeds, strata)


def changed(shares: Sequence[Array]) -> float:
    """Mean over sessions of how much of the weights moved since the session before: half the sum of changes."""
    moved = np.abs(np.diff(np.column_stack(shares), axis=0)).sum(axis=1) / 2.0
    return float(moved.mean()) if len(moved) else 0.0
