"""One decision: the ONNX graph against the fitted model that it stands for."""

import gc
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bq.jobs.bench.measure import Plan, version
from bq.jobs.bench.row import Goal, Row, finite
from bq.learning.model import FittedModel, Sample, fit
from bq.serving.onnx import Session, export

FEATURES, CLASSES = 22, 4
BLOCK = 500  # calls of the graph between two blocks of the peer's


def onnx_row(plan: Plan) -> Row:
    """Latency of a single row, warm: median and 99th percentile over single calls."""
    sample = _sample(plan.n(full=4000, quick=2000, tiny=400))
    model = _fit(sample)
    session = Session(export(model))
    one = sample.rows(np.arange(1))

    def native() -> object:
        return model.predict(one.x, one.category, one.size)

    def graph() -> object:
        return session.predict(one.x, one.category, one.size)

    def wrapper() -> object:
        return model.base.predict_proba(one.x)

    blocks = plan.n(full=40, quick=10, tiny=1)
    peer, bare, ours = _calls((native, BLOCK // 20), (wrapper, BLOCK // 20), (graph, BLOCK), blocks=blocks)
    middle, slow = np.quantile(ours, [0.5, 0.99]).tolist()
    theirs = float(np.median(peer))
    goals = (
        Goal("speed-up", theirs / middle, "≥", 30, "×"),
        Goal("p50", 1e6 * middle, "≤", 30, " µs"),
        Goal("p99", 1e6 * slow, "≤", 50, " µs"),
        Goal("difference", finite(_difference(model, session, sample)), "≤", 1e-5),
    )
    return Row(
        of="a decision",
        n=f"{len(ours):,} calls (peer: {len(peer):,}), {FEATURES} features, {CLASSES} classes",
        peer=version("lightgbm"),
        peer_seconds=theirs,
        ours_seconds=middle,
        goals=goals,
        repeats=blocks,
        notes=(
            "both do the whole decision: clip, impute, trees, temperature, expected outcome",
            f"LightGBM's wrapper alone, without the rest, takes {1e6 * np.median(bare):.0f} µs",
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
    return max(float(np.abs(a - b).max()) for a, b in zip(*answers, strict=True))


def _sample(n: int) -> Sample:
    """Events whose class depends a little on the features."""
    random = np.random.default_rng(5)
    x = random.standard_normal((n, FEATURES)).astype(np.float32)
    cuts = np.quantile(x[:, 0], [0.25, 0.5, 0.75])
    label = np.searchsorted(cuts, x[:, 0] + random.standard_normal(n))
    outcome = 0.2 * label - 0.3 + 0.1 * random.standard_normal(n)
    size = random.random(n).astype(np.float32)
    return Sample(x, label, outcome, np.ones(n, np.float32), random.integers(3, size=n), size)


def _fit(sample: Sample) -> FittedModel:
    n = len(sample.label)
    inner = (np.arange(n * 3 // 4), np.arange(n * 3 // 4, n))
    return fit("lightgbm", sample, inner, n_classes=CLASSES, seed=7)
