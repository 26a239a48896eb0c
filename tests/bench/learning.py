"""Training: how walk-forward grows, purged splits, the stationary bootstrap."""

import datetime as dt
import math
import time
from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq import market, strategies
from bq.core import params, paths
from bq.jobs.run.memory import Watch
from bq.learning import walkforward
from bq.learning.splits import Rows, Timeline, combinatorial
from bq.stats.bootstrap import bootstrap_means
from bq.strategies import store
from tests.bench import samples
from tests.bench.measure import Pair, Plan, growth, in_turn, pair, speed_up, version
from tests.bench.row import Goal, Row, finite

MINUTE = 60_000_000  # microseconds


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


def forecast_training(plan: Plan) -> Row:
    """The forecast's three layers as shipped, on simulated panels of n, 2n and 4n symbols, and the largest's memory."""
    symbols, years = plan.n(full=296, quick=40, tiny=24), plan.n(full=5, quick=3, tiny=3)
    sizes, sessions = [symbols // 4, symbols // 2, symbols], (years + 1) * 252  # an event needs a year before it
    strategy = strategies.get("forecast")

    def training(count: int) -> Callable[[], object]:
        changed = "learning.folds=5 learning.test_days=120 events.every_sessions=1 market.simulation.first=2014-01-02"
        overrides = f"{changed} market.simulation.symbols={count} market.simulation.sessions={sessions}"
        path = paths.CHECKOUT / "parameters" / "simulated" / "forecast.yaml"
        settings = params.load(path, strategy.settings, overrides=overrides)
        data = market.load(settings.market)
        built = strategy.table.build(data, settings, strategy.table.schedule(data, settings))
        built = built._replace(events=built.events.sort("t0", "symbol"))
        events = store.finished(strategy, settings, data, built, 0).events
        return lambda: walkforward.train(events, strategy, settings)

    tasks, seconds = [training(count) for count in sizes], np.empty((len(sizes), 1))
    tasks[0]()  # outside the timing: compilation and workers
    with Watch(above=math.inf, excess=lambda mib: None) as watch:
        for task, spent in zip(tasks, seconds, strict=True):
            begin = time.perf_counter()
            task()
            spent[:] = time.perf_counter() - begin
    row = growth(of="a symbol", n=sizes, seconds=seconds, notes=(f"{years} years of events, 3 layers, 5 folds",))
    total, gib = float(np.median(seconds[-1])), watch.mib / 1024
    return row._replace(goals=(*row.goals, Goal("in all", total, "≤", 80, " s"), Goal("peak", gib, "≤", 4, " GiB")))


def purged_splits(plan: Plan) -> Row:
    """Combinatorial splits, one event a minute, against skfolio; the same rows must come out."""
    from skfolio.model_selection import CombinatorialPurgedCV

    n, label, embargo = plan.n(full=999_990, quick=200_010, tiny=3000), 5, 3  # a multiple of 30: the same groups
    t0 = np.arange(n) * MINUTE
    stamps = pl.Datetime("us", "UTC")
    events = pl.DataFrame({"t0": t0, "t1_due": t0 + label * MINUTE}).with_columns(pl.col("t0", "t1_due").cast(stamps))
    rule = {"groups": 6, "tested": 2, "embargo": dt.timedelta(minutes=embargo)}
    peer = CombinatorialPurgedCV(n_folds=6, n_test_folds=2, purged_size=label, embargo_size=embargo)
    placeholder, line = np.empty((n, 1)), Timeline.of(events)

    def rows() -> list[tuple[Rows, Rows]]:
        fresh = Timeline.of(events)
        return [(fresh.rows(split.train), fresh.rows(split.test)) for split in combinatorial(fresh, **rule).splits]

    repeats = plan.n(full=5, quick=3, tiny=1)
    theirs, ours, ranges = in_turn(
        lambda: list(peer.split(placeholder)), rows, lambda: combinatorial(line, **rule), repeats=repeats
    )
    pairs = zip(peer.split(placeholder), rows(), strict=True)
    unlike = sum(
        not (np.array_equal(train, ours_train) and np.array_equal(np.concatenate(tests), ours_test))
        for (train, tests), (ours_train, ours_test) in pairs
    )
    as_ranges = Goal("speed-up as ranges", float(np.median(theirs / ranges)), "≥", 500, "×")
    return Pair(theirs, ours).row(
        of="a set of splits",
        n=f"{n:,} events, 15 splits",
        peer=version("skfolio"),
        goal=speed_up(5),
        goals=(as_ranges, Goal("splits that differ", float(unlike), "≤", 0)),
        notes=(
            "skfolio purges by numbers of rows, ours by each label's own end: the same here",
            f"as ranges, events prepared before: {np.median(ranges) * 1e6:.0f} µs",
        ),
    )


def bootstrap(plan: Plan) -> Row:
    """Interval of two means of dependent series by the stationary bootstrap, against arch used plainly."""
    from arch.bootstrap import StationaryBootstrap

    rows, draws = plan.n(full=2500, quick=1000, tiny=100), plan.n(full=10_000, quick=2000, tiny=1000)
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
        notes=("ours stretches the bounds for the number of blocks, and counts missing values beside",),
    )


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.mean(axis=0)
