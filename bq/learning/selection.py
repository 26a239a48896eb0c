"""Which features a fold trains on, judged inside the training window alone.

Every function here takes the training rows and nothing else: call it within a fold, on that fold's training events.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bq.core.settings import Selection
from bq.stats.blocks import IC_HOLDINGS, mean_block
from bq.stats.bootstrap import bootstrap_mean

Columns = NDArray[np.int64]

LAG = re.compile(r"^(?P<newest>.+)_lag(?P<lag>\d+)$")
FEWEST_WINDOWS = 3  # of rolling ICs
BLOCKS = 4  # of the training window; in each a lag is judged with the sign that earlier ones show
DRAWS = 1000


class SessionRanks(NamedTuple):
    """Ranks within sessions, and their rank ICs. Rows are the labelled events, sorted by session."""

    ranks: NDArray[np.float32]  # (n_features, n_events), zero where missing; of mean zero in each session
    ic: NDArray[np.float64]  # (n_sessions, n_features), Spearman with the label; NaN where there is none
    spread: NDArray[np.float64]  # (n_features,), standard deviation of the ranks within a session, on average


def select(x: ArrayLike, label: ArrayLike, session: ArrayLike, settings: Selection) -> Columns:
    """Columns of the best features, the best first.

    x : (n_events, n_features), NaN where missing. label : (n_events,), NaN where open (left out). session :
    (n_events,), anything that sorts by time. Rows in any order.

    Features are ordered by the mean of two ranks: by |mean| and by |mean / standard deviation| of the rank IC over
    consecutive windows. A feature that hardly varies within a session is left out, and so is one whose correlation with
    a better feature exceeds `max_correlation`. A column that is constant within each session has no rank IC and is
    never chosen. Returns at most `features` columns (`degraded_features` with fewer than `degraded_below` labelled
    events), perhaps none.
    """
    found = session_ranks(x, label, session)
    few = found.ranks.shape[1] < settings.degraded_below
    limit = settings.degraded_features if few else settings.features
    order = _by_strength(_windows(found.ic, settings.window_sessions), found.spread >= settings.min_spread)
    correlation = np.abs(_correlation(found.ranks))
    chosen: list[int] = []
    for column in order:
        if len(chosen) < limit and not (correlation[column, chosen] > settings.max_correlation).any():
            chosen.append(int(column))
    return np.array(chosen, np.int64)


def choose_lags(
    x: ArrayLike,
    label: ArrayLike,
    session: ArrayLike,
    variants: Mapping[int, Sequence[int]],
    settings: Selection,
    *,
    horizon: int,
    seed: int,
) -> Columns:
    """The columns that stay when each feature keeps one of its lags, ascending; features without lags stay.

    variants : column of a newest value → columns of its earlier ones, as from `lag_variants`. horizon : sessions over
    which labels overlap.

    A lag replaces the newest value where its out-of-sample IC, on all but the first of four blocks of the window with
    the sign that the earlier ones show, is higher by more than `lag_gain` and that gain is significant: the lower bound
    of the stationary bootstrap over sessions, at `lag_alpha` shared by the feature's lags, is above zero.
    """
    ic = session_ranks(x, label, session).ic
    stays = set(range(ic.shape[1])) - {column for lags in variants.values() for column in lags}
    for newest, lags in variants.items():
        base = _signed(ic[:, newest], horizon)
        best, best_gain = newest, settings.lag_gain
        for column in lags:
            gain = bootstrap_mean(
                _signed(ic[:, column], horizon) - base,
                block=mean_block(horizon, holdings=IC_HOLDINGS),
                alpha=settings.lag_alpha / len(lags),
                draws=DRAWS,
                seed=seed,
            )
            if gain.mean > best_gain and gain.low > 0.0:
                best, best_gain = column, gain.mean
        stays = (stays - {newest}) | {best}
    return np.array(sorted(stays), np.int64)


def lag_variants(names: Sequence[str]) -> dict[int, list[int]]:
    """Positions of newest values and of their lags, by name: `<feature>_lag<n>` is `<feature>` of n sessions before.

    >>> lag_variants(["beta", "size", "beta_lag1", "beta_lag5"])
    {0: [2, 3]}
    """
    at = {name: position for position, name in enumerate(names)}
    found: dict[int, list[int]] = {}
    for position, name in enumerate(names):
        match = LAG.match(name)
        if match and match["newest"] in at:
            found.setdefault(at[match["newest"]], []).append(position)
    return found


def session_ranks(x: ArrayLike, label: ArrayLike, session: ArrayLike) -> SessionRanks:
    """Rank the features and the label within each session, and correlate them there."""
    from bq.kernels.ranks import rank_rows

    label = np.asarray(label, np.float32)
    code = np.unique(np.asarray(session), return_inverse=True)[1]
    known = np.flatnonzero(np.isfinite(label))
    rows = known[np.argsort(code[known], kind="stable")]
    values, target = np.asarray(x, np.float32)[rows], label[rows]
    code = np.unique(code[rows], return_inverse=True)[1]
    counts = np.bincount(code)
    place = np.arange(len(code)) - np.repeat(np.cumsum(counts) - counts, counts)
    table = np.full((len(counts), counts.max(initial=0)), np.nan, np.float32)

    def ranked(column: NDArray[np.float32]) -> NDArray[np.float32]:
        table[code, place] = column
        return np.nan_to_num(rank_rows(table))

    whole, features = ranked(target), values.shape[1]
    ranks, ic = np.empty((features, len(rows)), np.float32), np.empty((len(counts), features))
    spread = np.empty(features)
    for column in range(features):
        own = ranked(values[:, column])
        missing = ~np.isfinite(values[:, column])
        other = ranked(np.where(missing, np.nan, target).astype(np.float32)) if missing.any() else whole
        ranks[column] = own[code, place]
        square = np.einsum("ij,ij->i", own, own, dtype=np.float64)
        product = np.einsum("ij,ij->i", own, other, dtype=np.float64)
        size = np.sqrt(square * np.einsum("ij,ij->i", other, other, dtype=np.float64))
        ic[:, column] = np.divide(product, size, out=np.full(len(size), np.nan), where=size > 1e-9)
        spread[column] = np.sqrt(square / np.maximum(counts, 1)).mean() if len(counts) else 0.0
    return SessionRanks(ranks, ic, spread)


def _windows(ic: NDArray[np.float64], sessions: int) -> NDArray[np.float64]:
    """Mean IC of consecutive windows of so many sessions, at least three windows: (n_windows, n_features)."""
    count = max(len(ic) // sessions, FEWEST_WINDOWS)
    parts = np.array_split(ic, count)
    known = [np.isfinite(part) for part in parts]
    totals = [np.where(good, part, 0.0).sum(axis=0) for part, good in zip(parts, known, strict=True)]
    counts = [good.sum(axis=0) for good in known]
    with np.errstate(invalid="ignore"):
        return np.array(totals) / np.array(counts)


def _by_strength(windows: NDArray[np.float64], varies: NDArray[np.bool_]) -> Columns:
    """Columns that vary and have an IC in at least two windows, strongest first."""
    known = np.isfinite(windows)
    able = np.flatnonzero(varies & (known.sum(axis=0) >= 2))
    mean = np.abs(np.nanmean(windows[:, able], axis=0))
    ratio = mean / np.maximum(np.nanstd(windows[:, able], axis=0, ddof=1), 1e-9)
    places = (-mean).argsort(kind="stable").argsort() + (-ratio).argsort(kind="stable").argsort()
    return able[np.lexsort((-ratio, places))]  # equal ranks: the steadier first


def _correlation(ranks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Correlation of the features' ranks, pooled over sessions; a missing rank counts as the middle rank."""
    products = (ranks @ ranks.T).astype(np.float64)
    size = np.sqrt(np.maximum(np.diag(products), 1e-12))
    return products / np.outer(size, size)


def _signed(ic: NDArray[np.float64], horizon: int) -> NDArray[np.float64]:
    """IC of every block but the first, each with the sign of the mean of all that ended `horizon` before it."""
    edges = np.linspace(0, len(ic), BLOCKS + 1).astype(int)
    parts = []
    for low, high in itertools.pairwise(edges[1:]):
        past = ic[: max(low - horizon, 0)]
        known = past[np.isfinite(past)]
        parts.append(ic[low:high] * np.sign(known.mean() if len(known) else 0.0))
    return np.concatenate(parts)
