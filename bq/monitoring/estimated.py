"""How good decisions will turn out to be, before their outcomes are known: CBPE and PAPE.

CBPE, confidence-based performance estimation: where probabilities are calibrated, they say themselves how often they
will be right. They are calibrated on the out-of-sample predictions that the model was made with (the reference).
PAPE, probabilistic adaptive performance estimation (Bialek, Kuberski, Perrakis & Bifet 2024, arXiv 2401.08348): the
same, calibrated on the reference reweighted to look like today's events. The weights are the density ratio of a
classifier that tells the two apart.

Both follow a covariate shift: other events than before, by the same law. Neither sees a concept drift: a law that has
changed while events look the same. That only outcomes show.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from bq.stats.blocks import Blocks
from bq.stats.bootstrap import Interval

Array = NDArray[np.float64]
LEAST_REFERENCE = 200  # events of the reference below which probabilities are taken as they are
FOLDS = 5  # of the classifier that tells reference and present apart: an event is weighed by a fit without it
TREES: dict[str, Any] = {  # small ones: the density ratio is smooth, and a wrong weight costs more than a missing one
    **{"n_estimators": 60, "num_leaves": 8, "min_child_samples": 40, "reg_lambda": 5.0},
    **{"n_jobs": 1, "deterministic": True, "force_col_wise": True, "verbose": -1},
}
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


class Curves(NamedTuple):
    """What comes of a stated probability, by class."""

    fitted: tuple[Any, ...]  # isotonic regressions; empty: probabilities stay as they are

    def of(self, probabilities: Array) -> Array:
        """Probabilities as often right as the reference says; rows sum to 1 again."""
        if not self.fitted:
            return probabilities
        found = np.column_stack([curve.predict(probabilities[:, i]) for i, curve in enumerate(self.fitted)])
        total = found.sum(axis=1, keepdims=True)
        return np.divide(found, total, out=probabilities.copy(), where=total > 0)


def curves(reference: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> Curves:
    """Calibrate probabilities on a reference, each class by isotonic regression.

    reference, labels : probabilities of shape (n_reference, n_classes) and the class that came, out of sample.
    weights : of the reference's events. With fewer than 200 events in it nothing is calibrated.
    Zadrozny & Elkan 2002, doi:10.1145/775047.775151.
    """
    from sklearn.isotonic import IsotonicRegression

    known, came = np.atleast_2d(np.asarray(reference, np.float64)), np.asarray(labels)
    if len(known) < LEAST_REFERENCE:
        return Curves(())
    return Curves(
        tuple(
            IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(
                known[:, place], (came == place).astype(np.float64), sample_weight=weights
            )
            for place in range(known.shape[1])
        )
    )


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
        trees = LGBMClassifier(**TREES, random_state=seed).fit(x[train], later[train])
        chance[test] = np.asarray(trees.predict_proba(x[test]))[:, 1]
    odds = chance[: len(before)] / np.maximum(1.0 - chance[: len(before)], 1e-6)
    weight = np.minimum(odds * len(before) / len(now), LARGEST_WEIGHT)
    return weight / weight.mean()


def accuracy(
    present: pl.DataFrame, reference: pl.DataFrame, *, blocks: Blocks, weights: ArrayLike | None = None
) -> Estimate:
    """`accuracies` of one frame."""
    return accuracies([present], reference, blocks=blocks, weights=weights)[0]


def accuracies(
    presents: Sequence[pl.DataFrame], reference: pl.DataFrame, *, blocks: Blocks, weights: ArrayLike | None = None
) -> list[Estimate]:
    """Estimated accuracy of each of `presents`: CBPE, or with the weights of `density_ratio` PAPE.

    presents : session, probabilities (list). reference : session, probabilities, label (index of the class that came),
    with outcomes. blocks : how sessions of the reference are resampled. weights : of the reference's events.

    The likeliest class is that of the probabilities as they were given; how likely it is, of the calibrated ones.

    Interval: where the realised accuracy of these events is expected while the law stands, the value -/+ the root of
    two squares. Luck: half of the interval of realised less estimated accuracy in the reference (`bq.stats.bootstrap`),
    scaled to the blocks that `present` fills. Calibration: the normal quantile of the level times the standard
    deviation of the value over resamples of the reference's sessions.
    """
    known, came = _matrix(reference), reference["label"].to_numpy()
    size = np.ones(len(known)) if weights is None else np.asarray(weights, np.float64)
    usual, said = curves(known, came, size), [_matrix(present) for present in presents]
    misses = (known.argmax(axis=1) == came) - _of_likeliest(known, usual)
    means = reference.select("session", miss=pl.Series(misses)).group_by("session").agg(pl.col("miss").mean())
    luck = blocks.mean(means.sort("session")["miss"].to_numpy())
    drawn = []
    if luck.low <= luck.high:
        drawn = [curves(known[rows], came[rows], size[rows]) for rows in _resampled(reference["session"], blocks)]
    effective = float(size.sum() ** 2 / (size**2).sum())
    found = []
    for present, chances in zip(presents, said, strict=True):
        value = float(_of_likeliest(chances, usual).mean())
        reach = _reach([float(_of_likeliest(chances, one).mean()) for one in drawn], luck, present["session"], blocks)
        found.append(Estimate(value, value - reach, value + reach, len(chances), len(known), effective))
    return found


def _reach(draws: list[float], luck: Interval, sessions: pl.Series, blocks: Blocks) -> float:
    """Half of an interval; NaN without resamples."""
    from scipy.special import ndtri

    if not draws:
        return np.nan
    filled = max(sessions.n_unique() / blocks.block, 1.0)
    of_luck = (luck.high - luck.low) / 2.0 * np.sqrt(luck.blocks / filled)
    of_calibration = ndtri(1.0 - blocks.alpha) * np.std(draws, ddof=1)
    return float(np.hypot(of_luck, of_calibration))


def _of_likeliest(said: Array, calibrated: Curves) -> Array:
    """The calibrated probability of each event's likeliest class."""
    return np.take_along_axis(calibrated.of(said), said.argmax(axis=1)[:, None], axis=1)[:, 0]


def _resampled(sessions: pl.Series, blocks: Blocks) -> Iterator[NDArray[np.int64]]:
    """Rows of resampled sessions, DRAWS times."""
    from arch.bootstrap import StationaryBootstrap

    groups = sessions.to_frame("session").with_row_index().group_by("session").agg("index").sort("session")["index"]
    rows = [group.to_numpy().astype(np.int64) for group in groups]
    generator = np.random.default_rng(blocks.seed)
    order = StationaryBootstrap(max(round(blocks.block), 1), np.arange(len(rows)), seed=generator)
    for (drawn,), _ in order.bootstrap(DRAWS):
        yield np.concatenate([rows[place] for place in drawn])


def _matrix(rows: pl.DataFrame) -> Array:
    return np.array(rows["probabilities"].to_list(), np.float64)
