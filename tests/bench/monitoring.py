"""Drift of many features at once against scipy's two-sample test, one feature after the other."""

import numpy as np
from scipy.stats import ks_2samp

from bq.stats import shift
from tests.bench.measure import Plan, pair, speed_up, version
from tests.bench.row import Goal, Row, finite

FEATURES = 50


def drift(plan: Plan) -> Row:
    """KS and PSI of each feature against a reference that is kept sorted."""
    n, some = plan.n(full=100_000, quick=20_000, tiny=500), plan.n(full=10, quick=5, tiny=2)
    random = np.random.default_rng(23)
    before = np.sort(random.standard_normal((FEATURES, n)).astype(np.float32), axis=1)
    now = random.standard_normal((n, FEATURES)).astype(np.float32) + np.float32(0.02)
    edges = [column[n // 10 :: n // 10][:9] for column in before]
    counts = np.array([shift.binned(*both) for both in zip(before, edges, strict=True)])

    def ours() -> tuple[list[float], np.ndarray]:
        columns = np.ascontiguousarray(now.T)
        found = [shift.ks(*both) for both in zip(before, columns, strict=True)]
        binned = np.array([shift.binned(*both) for both in zip(columns, edges, strict=True)])
        return found, shift.psi(counts, binned)

    def peer() -> list[float]:
        return [float(ks_2samp(before[i], now[:, i]).statistic) for i in range(some)]

    times = pair(peer, ours, peer_n=some, ours_n=FEATURES, repeats=plan.n(full=7, quick=3, tiny=1))
    apart = np.abs(np.array(ours()[0][:some]) - peer()).max()
    return times.row(
        of="a feature",
        n=f"{some} and {FEATURES} features of {n:,} rows on either side",
        peer=f"{version('scipy')}, ks_2samp",
        goal=speed_up(10),
        goals=(Goal("KS apart", finite(apart), "≤", 1e-12),),
        notes=("ours also counts PSI", "evidently does not install beside these versions and is left out"),
    )
