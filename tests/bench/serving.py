"""One decision: the ONNX graph against the fitted model that it stands for."""

import datetime as dt
import gc
import time
from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.settings import Learning, Regimes
from bq.learning.model import FittedModel, Sample, fit
from bq.serving.onnx import Session, export
from bq.strategies.events import UTC
from tests.bench.measure import Plan, version
from tests.bench.row import Goal, Row, finite

FEATURES, CLASSES, REGIMES = 22, 4, 3
BLOCK = 500  # calls of the graph between two blocks of the peer's


def onnx_row(plan: Plan) -> Row:
    """Latency of a single row of LightGBM with classes."""
    sample = _sample(plan.n(full=4000, quick=2000, tiny=400))
    learning = Learning(features="", model="lightgbm")
    model = fit("lightgbm", sample, n_classes=CLASSES, learning=learning)
    return _latency(plan, model, sample, of=f"{FEATURES} features, {CLASSES} classes", peer="lightgbm")


def stack_row(plan: Plan) -> Row:
    """Latency of a single row of the stack: three base models, a linear model for each of three regimes, weights by
    regime, meta-learner."""
    n = plan.n(full=20_000, quick=4000, tiny=1200)
    learning = Learning(features="", model="stack", regimes=Regimes(states=REGIMES))
    sample = _sample(n)
    p = np.random.default_rng(6).dirichlet(np.ones(REGIMES), n).astype(np.float32)
    target = sample.x[:, 0] * (p[:, 0] - p[:, 2]) + np.random.default_rng(7).standard_normal(n)
    sample = sample._replace(x=np.hstack([sample.x, p]), label=target, outcome=target)
    model = fit("stack", sample, n_classes=0, learning=learning)
    return _latency(plan, model, sample, of=f"{FEATURES + REGIMES} features, a stack of three", peer="scikit-learn")


def _latency(plan: Plan, model: FittedModel, sample: Sample, *, of: str, peer: str) -> Row:
    """Median and 99th percentile over single calls, warm."""
    session = Session(export(model))
    one = sample.rows(np.arange(1))

    def native() -> object:
        return model.predict(one.x, one.category, one.size)

    def graph() -> object:
        return session.predict(one.x, one.category, one.size)

    inputs = {"features": one.x, "category": one.category, "size": one.size}
    known = {name: values for name, values in inputs.items() if name in session.cells}

    def runtime() -> object:
        return session._session.run(None, known)

    blocks = plan.n(full=40, quick=10, tiny=1)
    theirs_all, ours, bare = _calls((native, BLOCK // 20), (graph, BLOCK), (runtime, BLOCK), blocks=blocks)
    middle, slow = np.quantile(ours, [0.5, 0.99]).tolist()
    theirs = float(np.median(theirs_all))
    goals = (
        Goal("speed-up", theirs / middle, "≥", 30, "×"),
        Goal("p50", 1e6 * middle, "≤", 30, " µs"),
        Goal("p99", 1e6 * slow, "≤", 50, " µs"),
        Goal("difference", finite(_difference(model, session, sample)), "≤", 1e-5),
    )
    return Row(
        of="a decision",
        n=f"{len(ours):,} calls (peer: {len(theirs_all):,}), {of}",
        peer=version(peer),
        peer_seconds=theirs,
        ours_seconds=middle,
        goals=goals,
        repeats=blocks,
        notes=(
            "both do the whole decision, from raw features to the expected outcome",
            f"of ours onnxruntime's own call takes {1e6 * np.median(bare):.1f} µs, the least that is possible",
        ),
    )


def _calls(*tasks: tuple[Callable[[], object], int], blocks: int) -> list[NDArray[np.float64]]:
    """Seconds of every single call; `blocks` times so many calls of each task, in turn, after a block of warm-up."""
    found: list[list[float]] = [[] for _ in tasks]
    for block in range(blocks + 1):
        for place, (task, calls) in enumerate(tasks):
            gc.collect()
            task()  # the first call after a collection is slow, and no answer to how long a decision takes
            for _ in range(calls):
                start = time.perf_counter_ns()
                task()
                took = time.perf_counter_ns() - start
                if block:
                    found[place].append(1e-9 * took)
    return [np.array(seconds) for seconds in found]


def _difference(model: FittedModel, session: Session, sample: Sample) -> float:
    """Largest difference of probabilities and expected outcome over all rows."""
    answers = [part.predict(sample.x, sample.category, sample.size) for part in (model, session)]
    return max(float(np.abs(a - b).max(initial=0.0)) for a, b in zip(*answers, strict=True))


def _sample(n: int) -> Sample:
    """Events whose class depends a little on the features, forty a week."""
    random = np.random.default_rng(5)
    x = random.standard_normal((n, FEATURES)).astype(np.float32)
    cuts = np.quantile(x[:, 0], [0.25, 0.5, 0.75])
    label = np.searchsorted(cuts, x[:, 0] + random.standard_normal(n))
    outcome = 0.2 * label - 0.3 + 0.1 * random.standard_normal(n)
    size, weight = random.random(n).astype(np.float32), np.ones(n, np.float32)
    first = dt.datetime(2015, 1, 2, 21, tzinfo=dt.UTC)
    t0 = pl.Series([first + dt.timedelta(weeks=i // 40) for i in range(n)], dtype=UTC)
    times = pl.DataFrame({"session": t0.dt.date(), "t0": t0, "t1_due": t0 + dt.timedelta(days=7)})
    return Sample(x, label, outcome, weight, random.integers(3, size=n), size, times)
