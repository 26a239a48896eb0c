"""How good decisions will turn out to be, before their outcomes are known: CBPE and PAPE.

CBPE, confidence-based performance estimation: where probabilities are calibrated, they say themselves how often they
will be right. They are calibrated on the out-of-sample predictions that the model was made with (the reference).
PAPE, probabilistic adaptive performance estimation (Bialek, Kuberski, Perrakis & Bifet 2024, arXiv 2401.08348): the
same, calibrated on the reference reweighted to look like today's events. The weights are the density ratio of a
classifier that tells the two apart.

Both follow a covariate shift: other events than before, by the same law. Neither sees a concept drift: a law that has
changed while events look the same. That only outcomes show.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from bq.stats.blocks import Blocks
from bq.stats.bootstrap import LEAST_BLOCKS
from bq.stats.delay import block_means

Array = NDArray[np.float64]
LEAST_REFERENCE = 200  # events of the reference below which probabilities are taken as they are
FOLDS = 5  # of the classifier that tells reference and present apart: an event is weighed by a fit without it
DRAWS = 50  # resamples of the reference: of a variance that is one of two
LARGEST_WEIGHT = 20.0  # of an event of the reference: a few must not stand for all


class Expected(NamedTuple):
    """Expected figures of predictions whose probabilities hold."""

    accuracy: float
    log_loss: float  # nats
    brier: float  # summed over classes; of two classes that of the last alone
    precision: float  # of the last class against the others; NaN where it is never the likeliest
    recall: float
    f1: float
    auc: float  # NaN where only one class is possible


class Estimate(NamedTuple):
    """An expected accuracy with its sampling error."""

    value: float
    low: float  # NaN: the reference has too few blocks for an interval
    high: float
    n: int  # events it is of
    reference: int  # events that probabilities were calibrated on
    effective: float  # of them, after weighting: (sum of weights)^2 / sum of squared weights


def expected(probabilities: ArrayLike) -> Expected:
    """Expected figures of predictions of the likeliest class, shape (n_events, n_classes), rows sum to 1.

    Of an event for which the last class is predicted with probability p, p is a true and 1 - p a false positive.

    >>> p = np.array([0.9, 0.7, 0.4, 0.2])
    >>> np.round(expected(np.column_stack([1 - p, p]))[:1] + expected(np.column_stack([1 - p, p]))[3:], 4).tolist()
    [0.75, 0.8, 0.7273, 0.7619, 0.803]
    """
    chances = np.atleast_2d(np.asarray(probabilities, np.float64))
    last, classes = chances[:, -1], chances.shape[1]
    called = chances.argmax(axis=1) == classes - 1
    hits, missed = last[called].sum(), last[~called].sum()
    wrong = (1.0 - last[called]).sum()
    spread = chances * (1.0 - chances)
    safe = np.maximum(chances, 1e-12)
    return Expected(
        accuracy=float(chances.max(axis=1).mean()),
        log_loss=float(-(chances * np.log(safe)).sum(axis=1).mean()),
        brier=float((spread[:, -1] if classes == 2 else spread.sum(axis=1)).mean()),
        precision=_share(hits, hits + wrong),
        recall=_share(hits, hits + missed),
        f1=_share(2.0 * hits, 2.0 * hits + wrong + missed),
        auc=_area(last),
    )


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else np.nan


def _area(chance: Array) -> float:
    """Expected area under the ROC curve of events that come with these probabilities, ties half."""
    values, counts = np.unique(chance, return_counts=True)
    wins, losses = values * counts, (1.0 - values) * counts
    below = np.concatenate([[0.0], losses.cumsum()[:-1]])
    return _share((wins * (below + losses / 2.0)).sum(), wins.sum() * losses.sum())


def calibrated(
    probabilities: ArrayLike, *, reference: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> Array:
    """Probabilities as often right as the reference says, shape (n_events, n_classes).

    reference, labels : probabilities of shape (n_reference, n_classes) and the class that came, out of sample. weights :
    of the reference's events. Each class by isotonic regression (Zadrozny & Elkan 2002, doi:10.1145/775047.775151), then
    rows sum to 1 again. Of fewer than 200 events of the reference the probabilities are returned as they are.
    """
    from sklearn.isotonic import IsotonicRegression

    chances, known = (np.atleast_2d(np.asarray(one, np.float64)) for one in (probabilities, reference))
    came = np.asarray(labels)
    if len(known) < LEAST_REFERENCE:
        return chances
    fitted = np.empty_like(chances)
    for place in range(chances.shape[1]):
        curve = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        curve.fit(known[:, place], (came == place).astype(np.float64), sample_weight=weights)
        fitted[:, place] = curve.predict(chances[:, place])
    total = fitted.sum(axis=1, keepdims=True)
    return np.divide(fitted, total, out=chances.copy(), where=total > 0)


def density_ratio(reference: ArrayLike, present: ArrayLike, *, seed: int) -> Array:
    """Weight of each event of the reference that makes it look like the present, shape (n_reference,), of mean 1.

    reference, present : features of shape (n_reference, n_features) and (n_present, n_features), NaN where missing.
    P(present | features) / P(reference | features) times the ratio of the sizes, by gradient-boosted trees cross-fitted
    over five folds (Sugiyama, Suzuki & Kanamori 2012, ISBN 978-0-521-19017-6, chapter 4); at most 20.
    """
    from lightgbm import LGBMClassifier
    from sklearn.model_selection import StratifiedKFold

    before, now = (np.atleast_2d(np.asarray(one, np.float32)) for one in (reference, present))
    x, later = np.concatenate([before, now]), np.repeat([0, 1], [len(before), len(now)])
    chance = np.empty(len(x))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, later):
        trees = LGBMClassifier(
            n_estimators=60, learning_rate=0.1, num_leaves=8, min_child_samples=40, reg_lambda=5.0,
            n_jobs=1, random_state=seed, deterministic=True, force_col_wise=True, verbose=-1,
        )  # fmt: skip
        chance[test] = trees.fit(x[train], later[train]).predict_proba(x[test])[:, 1]
    odds = chance[: len(before)] / np.maximum(1.0 - chance[: len(before)], 1e-6)
    weight = np.minimum(odds * len(before) / len(now), LARGEST_WEIGHT)
    return weight / weight.mean()


def accuracy(
    present: pl.DataFrame, reference: pl.DataFrame, *, blocks: Blocks, weights: ArrayLike | None = None
) -> Estimate:
    """Estimated accuracy of `present`: CBPE, or with the weights of `density_ratio` PAPE.

    present : session, probabilities (list). reference : session, probabilities, label (index of the class that came),
    with outcomes. blocks : how sessions of the reference are resampled.

    The likeliest class is that of the probabilities as they were given; how likely it is, of the calibrated ones.

    Interval: where the realised accuracy of these events is expected while the law stands, the value -/+ the normal
    quantile of the level times the root of two variances. That of luck: of realised less estimated accuracy over the
    blocks of the reference, divided by the blocks that `present` fills. That of the calibration: of the value over
    resamples of the reference's sessions (Politis & Romano 1994, doi:10.1080/01621459.1994.10476870).
    """
    from scipy.special import ndtri

    said, known, came = _matrix(present), _matrix(reference), reference["label"].to_numpy()
    size = np.ones(len(known)) if weights is None else np.asarray(weights, np.float64)
    by = {"reference": known, "labels": came, "weights": size}
    value, own = (_of_likeliest(rows, calibrated(rows, **by)) for rows in (said, known))
    misses = reference.select("session", error=pl.Series((known.argmax(axis=1) == came) - own))
    by_session = misses.group_by("session").agg(pl.col("error").mean()).sort("session")
    luck = block_means(by_session["error"], block=blocks.block)
    reach = np.nan
    if len(luck) >= LEAST_BLOCKS:
        filled = max(present["session"].n_unique() / blocks.block, 1.0)
        draws = [
            _of_likeliest(said, calibrated(said, reference=known[rows], labels=came[rows], weights=size[rows])).mean()
            for rows in _resampled(reference["session"], blocks)
        ]
        reach = float(ndtri(1.0 - blocks.alpha) * np.sqrt(luck.var(ddof=1) / filled + np.var(draws, ddof=1)))
    middle, effective = float(value.mean()), float(size.sum() ** 2 / (size**2).sum())
    return Estimate(middle, middle - reach, middle + reach, len(said), len(known), effective)


def _resampled(sessions: pl.Series, blocks: Blocks) -> Iterator[NDArray[np.int64]]:
    """Rows of resampled sessions, DRAWS times."""
    from arch.bootstrap import StationaryBootstrap

    groups = sessions.to_frame("session").with_row_index().group_by("session").agg("index").sort("session")["index"]
    rows = [group.to_numpy().astype(np.int64) for group in groups]
    order = StationaryBootstrap(blocks.block, np.arange(len(rows)), seed=np.random.default_rng(blocks.seed))
    for (drawn,), _ in order.bootstrap(DRAWS):
        yield np.concatenate([rows[place] for place in drawn])


def _of_likeliest(said: Array, calibrated: Array) -> Array:
    """The calibrated probability of each event's likeliest class."""
    return np.take_along_axis(calibrated, said.argmax(axis=1)[:, None], axis=1)[:, 0]


def _matrix(rows: pl.DataFrame) -> Array:
    return np.array(rows["probabilities"].to_list(), np.float64)
