"""Whether many features of a window of sessions are distributed as in a reference: PSI, Kolmogorov–Smirnov, distance.

What is usual by chance comes from the reference itself: windows and references of the same sizes are put together from
blocks of its sessions, the cross-section of a session kept. Textbook thresholds hold for independent rows alone: at a
lag-1 autocorrelation of .9 KS at 5 % rejects 73 to 78 % of windows in which nothing has changed.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Float32 = NDArray[np.float32]
CELLS = 64  # of a feature's range, equally filled by the reference, on which chance is simulated
DRAWS = 999
LOST = 0.1  # share of a window's variance that the ends of blocks may cost
HIGHEST = 0.98  # autocorrelation that is believed
TAIL = 10  # draws beyond a figure from which their share is its p-value


class Sample(NamedTuple):
    """Rows of features by session."""

    x: Float32  # shape (n_rows, n_features), NaN where missing
    session: NDArray[np.int64]  # of each row, from 0 in order of time, each number with a row or more

    @property
    def sessions(self) -> int:
        """How many there are."""
        return int(self.session.max()) + 1 if len(self.session) else 0


class Shift(NamedTuple):
    """What was found of each feature, arrays of shape (n_features,)."""

    psi: Array
    psi_limit: Array  # that `alpha` of windows without a change exceed
    ks: Array  # NaN where no value is known
    distance: Array  # Wasserstein's, in standard deviations of the reference
    missing: Array  # share of rows
    missing_before: Array
    p: Array  # of PSI and KS together
    block: NDArray[np.int64]  # sessions in which chance was simulated


class Usual(NamedTuple):
    """What is usual without a change, by feature: figures of windows put together from a reference's blocks."""

    fine: list[Float32]  # inner edges of the cells of each feature
    block: NDArray[np.int64]  # sessions, shape (n_features,)
    blocks: Array  # of the reference, shape (n_features,)
    psi: Array  # shape (n_features, DRAWS)
    ks2: Array  # shape (n_features, DRAWS)


def psi(reference: ArrayLike, counts: ArrayLike) -> Array:
    """Population stability index of counts in bins, the last axis: sum of (c - r) ln(c / r).

    An empty bin counts as half a row. A feature without a row on one side is NaN.

    >>> psi([25, 25, 25, 25], [40, 30, 20, 10]).round(6).item()
    0.228217
    """
    r, c = _shares(reference), _shares(counts)
    return ((c - r) * np.log(c / r)).sum(axis=-1)


def _shares(counts: ArrayLike) -> Array:
    counts = np.asarray(counts, np.float64)
    total = counts.sum(axis=-1, keepdims=True)
    return np.divide(np.where(counts > 0, counts, 0.5), total, out=np.full(counts.shape, np.nan), where=total > 0)


def ks(reference: ArrayLike, current: ArrayLike) -> float:
    """Two-sample Kolmogorov–Smirnov statistic, `scipy.stats.ks_2samp`'s; NaN where a sample has no value.

    reference : sorted and finite, as it is kept. current : in any order, NaN where missing; of the same type.
    """
    from bq.kernels.two_samples import ks_statistic

    return float(ks_statistic(np.asarray(reference), np.ascontiguousarray(current)))


def _distance(first: Float32, second: Float32) -> float:
    """Wasserstein distance of finite samples in standard deviations of the first; NaN where it has none."""
    from scipy.stats import wasserstein_distance

    if not len(first) or not len(second) or first[0] == first[-1]:
        return np.nan
    return float(wasserstein_distance(first, second) / first.std(dtype=np.float64))


def compare(
    reference: Sample,
    current: Sample,
    *,
    edges: list[Float32],
    least_block: float,
    alpha: float,
    seed: int,
    window: int | None = None,
    known: dict[int, Usual] | None = None,
) -> Shift:
    """Compare a window of sessions with a reference, feature by feature.

    edges : inner edges of the bins of each feature's PSI, frozen with the model; missing values are a bin of their own.
    least_block : sessions, see `blocks.block_length`; blocks are longer where a feature persists longer. alpha : level
    of `psi_limit`. window : sessions of the reference that the current ones are worth, where these lie closer together.
    known : takes what is usual of this reference by window, for one who compares many windows with it.
    """
    window, known = min(window or current.sessions, current.sessions), {} if known is None else known
    if window not in known:
        known[window] = usual(reference, edges=edges, least_block=least_block, window=window, seed=seed)
    chance, features = known[window], reference.x.shape[1]
    observed, limit, p = np.empty(features), np.empty(features), np.empty(features)
    for i, blocks in enumerate(map(float, chance.blocks)):
        bins, cells = (
            [_tally(sample, i, cut).sum(axis=0) for sample in (reference, current)]
            for cut in (edges[i], chance.fine[i])
        )
        observed[i], limit[i] = psi(*bins), np.quantile(chance.psi[i], 1.0 - _of_student(alpha, blocks))
        both = p_value(float(observed[i]), chance.psi[i]), p_value(float(_ks2(*cells)), chance.ks2[i])
        p[i] = _as_student(min(1.0, 2.0 * min(both)), blocks)
    kept = [np.sort(column[np.isfinite(column)]) for column in reference.x.T]
    new = [column[np.isfinite(column)] for column in current.x.T]
    return Shift(
        psi=observed,
        psi_limit=limit,
        ks=np.array([ks(*both) for both in zip(kept, new, strict=True)]),
        distance=np.array([_distance(*both) for both in zip(kept, new, strict=True)]),
        missing=np.isnan(current.x).mean(axis=0),
        missing_before=np.isnan(reference.x).mean(axis=0),
        p=p,
        block=chance.block,
    )


def usual(reference: Sample, *, edges: list[Float32], least_block: float, window: int, seed: int) -> Usual:
    """What is usual of windows of so many sessions that are distributed as the reference; arguments as of `compare`."""
    fine = [_cells(column) for column in reference.x.T]
    lengths = block_lengths(reference, fine, least=least_block, window=window)
    rng, blocks = np.random.default_rng(seed), reference.sessions / lengths[:, 0]
    by_bins, by_cells = np.empty((2, len(lengths), DRAWS))
    for length in np.unique(lengths[:, 0]):
        weights = [_drawn(reference.sessions, size, int(length), rng) for size in (reference.sessions, window)]
        for i in map(int, np.flatnonzero(lengths[:, 0] == length)):
            short = 1.0 / (1.0 - lengths[i, 1]) / (1.0 - min(0.5, 2.0 / blocks[i]))
            bins, cells = (_tally(reference, i, cut) for cut in (edges[i], fine[i]))
            by_bins[i] = psi(*(weight @ bins for weight in weights)) * short
            by_cells[i] = _ks2(*(weight @ cells for weight in weights)) * short
    return Usual(fine, lengths[:, 0].astype(np.int64), blocks, by_bins, by_cells)


def _as_student(p: float, blocks: float) -> float:
    """A two-sided p-value whose variance was itself estimated from so many blocks: Student's tail for the normal one.

    Hesterberg 2015, doi:10.1080/00031305.2015.1089789: a reference of few blocks knows little of what is usual.
    """
    from scipy.special import ndtri, stdtr

    return float(2.0 * stdtr(max(blocks - 1.0, 1.0), ndtri(p / 2.0)))


def _of_student(p: float, blocks: float) -> float:
    """The inverse of `_as_student`."""
    from scipy.special import ndtr, stdtrit

    return float(2.0 * ndtr(stdtrit(max(blocks - 1.0, 1.0), p / 2.0)))


def _ks2(reference: NDArray, counts: NDArray) -> Array:
    """Square of KS over the cells of known values, the last axis but its last: quadratic in deviations, as PSI is."""
    parts = [np.cumsum(one[..., :-1], axis=-1) for one in (reference, counts)]
    first, second = (np.divide(part, np.maximum(part[..., -1:], 1e-9)) for part in parts)
    return np.abs(first - second).max(axis=-1) ** 2


def _cells(column: Float32) -> Float32:
    known = column[np.isfinite(column)]
    cuts = np.quantile(known, np.arange(1, CELLS) / CELLS) if len(known) else np.zeros(0)
    return np.unique(cuts.astype(np.float32))


def binned(column: Float32, cut: Float32) -> NDArray[np.int64]:
    """Rows in each bin of a column, missing ones last: shape (n_bins + 1,). cut : inner edges, part of the left bin."""
    return np.bincount(_inside(column, cut), minlength=len(cut) + 2)


def _inside(column: Float32, cut: Float32) -> NDArray[np.int64]:
    from bq.kernels.two_samples import place

    return place(np.ascontiguousarray(column), cut)


def _tally(sample: Sample, feature: int, cut: Float32) -> Float32:
    """`binned` of each session: shape (n_sessions, n_bins + 1)."""
    bins = len(cut) + 2
    at = sample.session * bins + _inside(sample.x[:, feature], cut)
    return np.bincount(at, minlength=sample.sessions * bins).reshape(-1, bins).astype(np.float32)


def block_lengths(reference: Sample, fine: list[Float32], *, least: float, window: int) -> Array:
    """Sessions of the blocks of each feature, and the share of variance that their ends cost: shape (n_features, 2).

    With an autocorrelation r of session means, blocks of L cost about 2 r / ((1 - r²) L) of the variance of a mean:
    L is chosen for LOST of it, rounded up to a power of 2, but never longer than the window, which then is one block.
    """
    rows = []
    for i, cut in enumerate(fine):
        r = autocorrelation(_session_means(reference, i, cut))
        lasting = 2.0 * r / (1.0 - r**2)
        length = 2.0 ** np.ceil(np.log2(max(least, lasting / LOST, 1.0)))
        whole = length >= window
        rows.append((window if whole else length, 0.0 if whole else lasting / length))
    return np.array(rows).reshape(-1, 2)


def _session_means(sample: Sample, feature: int, cut: Float32) -> Array:
    """Mean cell of the known values of each session that has some, in order."""
    column = sample.x[:, feature]
    known = np.isfinite(column)
    size = np.bincount(sample.session[known], minlength=sample.sessions)
    total = np.bincount(sample.session[known], np.searchsorted(cut, column[known]), minlength=sample.sessions)
    return total[size > 0] / size[size > 0]


def autocorrelation(series: Array) -> float:
    """Lag-1 autocorrelation within 0 and HIGHEST, its bias taken out: Kendall 1954, doi:10.1093/biomet/41.3-4.403."""
    around = series - series.mean() if len(series) else series
    total = float(around @ around)
    if len(series) < 3 or total <= 0.0:
        return 0.0
    r = float(around[1:] @ around[:-1]) / total
    return float(np.clip(r + (1.0 + 3.0 * r) / len(series), 0.0, HIGHEST))


def _drawn(sessions: int, size: int, length: int, rng: np.random.Generator) -> Float32:
    """How often each session is in each draw of `size` sessions made of moving blocks, shape (DRAWS, n_sessions).

    Künsch 1989, doi:10.1214/aos/1176347265.
    """
    length = min(length, sessions)
    count = -(-size // length)
    begins = rng.integers(0, sessions - length + 1, (DRAWS, count))
    ends = begins + length
    ends[:, -1] -= count * length - size  # the last block is cut
    at = np.arange(DRAWS)[:, None] * (sessions + 1)
    begun, ended = (np.bincount((at + steps).ravel(), minlength=DRAWS * (sessions + 1)) for steps in (begins, ends))
    return np.cumsum((begun - ended).reshape(DRAWS, -1), axis=1)[:, :sessions].astype(np.float32)


def p_value(observed: float, usual: Array) -> float:
    """Chance of a figure as large among those of draws without a change, beyond them by a gamma law of their moments.

    Figures quadratic in deviations are about a sum of weighted chi-squares, for which Satterthwaite 1946,
    doi:10.2307/3002019, takes the gamma law of the same mean and variance.
    """
    from scipy.special import gammaincc

    if not np.isfinite(observed):
        return 1.0
    beyond = int((usual >= observed).sum())
    share = (beyond + 1) / (len(usual) + 1)
    mean, variance = float(usual.mean()), float(usual.var())
    if beyond >= TAIL or mean <= 0.0 or variance <= 0.0:
        return share
    return min(share, float(gammaincc(mean**2 / variance, observed * mean / variance)))
