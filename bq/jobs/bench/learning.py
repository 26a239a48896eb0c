"""Training: how walk-forward grows, purged splits, the stationary bootstrap."""

import itertools

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.settings import Learning
from bq.jobs.bench import samples
from bq.jobs.bench.measure import Plan, growth, in_turn, pair, speed_up, version
from bq.jobs.bench.row import Goal, Row, finite
from bq.learning import walkforward
from bq.learning.splits import purged_walk_forward
from bq.stats.bootstrap import bootstrap_means

DAY = 86_400_000_000  # microseconds
Stamps = NDArray[np.int64]


def training_growth(plan: Plan) -> Row:
    """Time of a walk-forward training on n, 2n and 4n events: the same dates of more symbols."""
    first, weeks = plan.n(full=4, quick=4, tiny=2), plan.n(full=2, quick=4, tiny=4)
    learning = samples.settings().learning.model_copy(update={"folds": 3, "compare": []})
    settings = samples.settings().model_copy(update={"learning": learning})
    largest = samples.events(4 * first, every_weeks=weeks)
    names = samples.stocks()
    tables = [largest.filter(pl.col("symbol").is_in(names[: first * times])) for times in (1, 2, 4)]
    tasks = [lambda table=table: walkforward.train(table, samples.strategy(), settings) for table in tables]
    return growth(
        of="an event",
        n=[len(table) for table in tables],
        seconds=in_turn(*tasks, repeats=plan.n(full=3, quick=2, tiny=1)),
        notes=(f"{learning.model}, {learning.folds} folds, {first}, {2 * first} and {4 * first} symbols",),
    )


def purged_splits(plan: Plan) -> Row:
    """Walk-forward folds with purging against the masks one would write for each fold."""
    n = plan.n(full=1_000_000, quick=200_000, tiny=2000)
    random = np.random.default_rng(3)
    t0 = np.sort(random.integers(0, 10 * 365 * DAY, n))
    due = t0 + random.integers(1, 40, n) * DAY
    stamps = pl.Datetime("us", "UTC")
    events = pl.DataFrame({"t0": t0, "t1_due": due}).with_columns(pl.col("t0", "t1_due").cast(stamps))
    settings = Learning(features="", model="", folds=6, test_days=365)
    times = pair(
        lambda: mask_loop(t0, due, settings),
        lambda: purged_walk_forward(events, settings),
        repeats=plan.n(full=9, quick=5, tiny=1),
    )
    folds = zip(mask_loop(t0, due, settings), purged_walk_forward(events, settings), strict=True)
    unlike = sum(not (np.array_equal(a[0], b.train) and np.array_equal(a[1], b.test)) for a, b in folds)
    return times.row(
        of="a set of folds",
        n=f"{n:,} events, {settings.folds} folds",
        peer=f"mask loop, {version('numpy')}",
        goal=speed_up(5),
        goals=(Goal("folds that differ", float(unlike), "≤", 0),),
        notes=("the peer is three overlap masks a fold (López de Prado 2018, snippet 7.1) on numpy arrays",),
    )


def mask_loop(t0: Stamps, due: Stamps, settings: Learning) -> list[tuple[Stamps, Stamps]]:
    """Training and test rows of each fold by masks over all events."""
    edges = [t0.max() - settings.test_days * DAY * back for back in range(settings.folds, -1, -1)]
    folds = []
    for low, high in itertools.pairwise(edges):
        test = np.flatnonzero((low < t0) & (t0 <= high))
        start, end = t0[test].min(), due[test].max()
        starts_inside = (start <= t0) & (t0 <= end)
        ends_inside = (start <= due) & (due <= end)
        around = (t0 <= start) & (end <= due)
        train = np.flatnonzero(~(starts_inside | ends_inside | around) & (t0 < start))
        folds.append((train, test))
    return folds


def bootstrap(plan: Plan) -> Row:
    """Interval of two means of dependent series by the stationary bootstrap, against arch used plainly."""
    from arch.bootstrap import StationaryBootstrap

    rows, draws = plan.n(full=2500, quick=1000, tiny=100), plan.n(full=2000, quick=500, tiny=1000)
    values = np.random.default_rng(4).standard_normal((rows, 2))

    def plain() -> NDArray[np.float64]:
        resampled = StationaryBootstrap(20, values, seed=np.random.default_rng(1)).apply(_means, draws)
        return np.quantile(resampled, [0.025, 0.975], axis=0)

    def ours() -> NDArray[np.float64]:
        found = bootstrap_means(values, block=20, alpha=0.025, draws=draws, seed=1)
        return np.array([[interval.low for interval in found], [interval.high for interval in found]])

    times = pair(plain, ours, peer_n=draws, ours_n=draws, repeats=plan.n(full=5, quick=3, tiny=1))
    return times.row(
        of="a draw",
        n=f"{draws:,} draws of {rows} × 2",
        peer=version("arch"),
        goal=speed_up(15),
        goals=(Goal("difference of bounds", finite(np.abs(plain() - ours()).max()), "≤", 0.05),),
        notes=("ours is the same library, and counts missing values beside",),
    )


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.mean(axis=0)
