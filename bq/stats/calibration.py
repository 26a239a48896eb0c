"""Whether probabilities are calibrated worse than others of the same events: by more than chance."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 10  # of a probability, equally wide
Array = NDArray[np.float64]


class Calibration(NamedTuple):
    """Expected calibration error of two forecasts of the same events, and by how much that of the first is larger."""

    error: float  # debiased, as the next two
    reference: float
    excess: float
    low: float  # lower bound of the excess at one-sided alpha; NaN of too few blocks
    blocks: float


def compare(
    forecast: Array,
    reference: Array,
    hit: Array,
    row: NDArray[np.int64],
    *,
    block: float,
    alpha: float,
    draws: int,
    seed: int,
) -> Calibration:
    """Compare the calibration of two forecasts.

    forecast, reference : probabilities, shape (n,). hit : 1 where it came, else 0. row : the session of each, from 0
    in time order. block : mean block of sessions.

    The expected calibration error, |predicted - observed| over ten bins weighted by their size, is above 0 for perfect
    forecasts too, the more so the more bins they fill. Sessions are resampled in blocks (Politis & Romano 1994,
    doi:10.1080/01621459.1994.10476870). Twice the error less the mean of the resampled ones is called debiased (Efron &
    Tibshirani 1993, doi:10.1201/9780429246593, chapter 10): it is where the gaps are larger than their noise, and
    keeps about half of the bias where there are none. The bound is the basic one of the bootstrap, twice the excess
    less its quantile: it takes out the same.
    """
    from bq.kernels.bootstrap import stationary_means
    from bq.stats.bootstrap import LEAST_BLOCKS

    sessions = int(row.max()) + 1 if len(row) else 0
    columns = [_gaps(chance, hit, row, sessions) for chance in (forecast, reference)]
    counts = np.bincount(row, minlength=sessions).astype(np.float64)[:, None]
    table, edge = np.hstack([*columns, counts]), columns[0].shape[1]
    block = float(min(max(block, 1.0), max(sessions, 1)))
    seen = _errors(table.mean(axis=0)[None], edge)[0]
    if sessions < LEAST_BLOCKS * block:
        return Calibration(float(seen[0]), float(seen[1]), float(seen[0] - seen[1]), np.nan, sessions / block)
    drawn = _errors(stationary_means(table, block, draws, np.random.default_rng(seed)), edge)
    error, other = 2.0 * seen - drawn.mean(axis=0)
    reach = float(np.quantile(drawn[:, 0] - drawn[:, 1], 1.0 - alpha))
    return Calibration(
        error=float(error),
        reference=float(other),
        excess=float(error - other),
        low=2.0 * float(seen[0] - seen[1]) - reach,
        blocks=sessions / block,
    )


def _gaps(chance: Array, hit: Array, row: NDArray[np.int64], sessions: int) -> Array:
    """Sum of predicted - observed of each session in each bin that is filled, shape (n_sessions, n_bins)."""
    bins = np.clip(np.floor(chance * BINS), 0, BINS - 1).astype(np.int64)
    sums = np.bincount(row * BINS + bins, chance - hit, minlength=sessions * BINS).astype(np.float64)
    return sums.reshape(sessions, BINS)[:, np.bincount(bins, minlength=BINS) > 0]


def _errors(means: Array, edge: int) -> Array:
    """Expected calibration error of both forecasts for mean gaps of each bin and the mean count: shape (n, 2)."""
    gaps, count = np.abs(means[:, :-1]), means[:, -1:]
    return np.column_stack([gaps[:, :edge].sum(axis=1), gaps[:, edge:].sum(axis=1)]) / count
