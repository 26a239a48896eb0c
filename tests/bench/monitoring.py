"""Drift of many features at once against scipy's two-sample test and evidently's report."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from bq.stats import shift
from tests.bench import peers
from tests.bench.measure import Plan, pair, speed_up, version
from tests.bench.row import Goal, Row, finite

FEATURES = 50


class Samples(NamedTuple):
    """Features of a training and of later decisions, with what is kept of the training."""

    before: NDArray[np.float32]  # shape (FEATURES, n), each ascending
    now: NDArray[np.float32]  # shape (n, FEATURES)
    edges: list[NDArray[np.float32]]
    counts: NDArray[np.int64]  # of `before` in the bins

    def compared(self) -> tuple[list[float], NDArray]:
        """KS and PSI of each feature."""
        columns = np.ascontiguousarray(self.now.T)
        found = [shift.ks(*both) for both in zip(self.before, columns, strict=True)]
        binned = np.array([shift.binned(*both) for both in zip(columns, self.edges, strict=True)])
        return found, shift.psi(self.counts, binned)


def _samples(n: int) -> Samples:
    random = np.random.default_rng(23)
    before = np.sort(random.standard_normal((FEATURES, n)).astype(np.float32), axis=1)
    now = random.standard_normal((n, FEATURES)).astype(np.float32) + np.float32(0.02)
    edges = [column[n // 10 :: n // 10][:9] for column in before]
    counts = np.array([shift.binned(*both) for both in zip(before, edges, strict=True)])
    return Samples(before, now, edges, counts)


def drift(plan: Plan) -> Row:
    """KS and PSI of each feature against a reference that is kept sorted."""
    n, some = plan.n(full=100_000, quick=20_000, tiny=500), plan.n(full=10, quick=5, tiny=2)
    samples = _samples(n)

    def peer() -> list[float]:
        return [float(ks_2samp(samples.before[i], samples.now[:, i]).statistic) for i in range(some)]

    times = pair(peer, samples.compared, peer_n=some, ours_n=FEATURES, repeats=plan.n(full=7, quick=3, tiny=1))
    apart = np.abs(np.array(samples.compared()[0][:some]) - peer()).max()
    return times.row(
        of="a feature",
        n=f"{some} and {FEATURES} features of {n:,} rows on either side",
        peer=f"{version('scipy')}, ks_2samp",
        goal=speed_up(10),
        goals=(Goal("KS apart", finite(apart), "≤", 1e-12),),
        notes=("ours also counts PSI",),
    )


def drift_evidently(plan: Plan) -> Row:
    """The same against evidently's report of data drift, once by KS and once by PSI, in an environment of its own."""
    n, some = plan.n(full=100_000, quick=20_000, tiny=500), plan.n(full=5, quick=3, tiny=2)
    samples = _samples(n)
    with tempfile.TemporaryDirectory() as folder, peers.running("evidently") as peer:
        names = {name: str(Path(folder) / f"{name}.npy") for name in ("before", "now")}
        np.save(names["before"], samples.before[:some].T)
        np.save(names["now"], samples.now[:, :some])
        release = peer.ask("samples", **names)
        repeats = plan.n(full=5, quick=3, tiny=1)
        times = pair(lambda: peer.ask("drift"), samples.compared, peer_n=some, ours_n=FEATURES, repeats=repeats)
    return times.row(
        of="a feature",
        n=f"{some} and {FEATURES} features of {n:,} rows on either side",
        peer=f"evidently {release}, DataDriftPreset by KS and by PSI",
        goal=speed_up(80),
        notes=("KS and PSI on either side; ours simulates thresholds from blocks of sessions apart from this",),
    )
