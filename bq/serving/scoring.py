"""Decisions on rows of features that come from elsewhere: the same rule as `decide`, without an event table.

Columns in, columns out: a request of one row and one of 50,000 are answered by the same few array operations.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.core.errors import BadData, did_you_mean
from bq.core.namespace import Tier
from bq.core.settings import Settings
from bq.serving import support
from bq.serving.decide import Models
from bq.serving.ready import Champion
from bq.strategies.contract import Strategy
from bq.strategies.policy import SCORE

Columns = Mapping[str, Sequence[Any]]
Bools = NDArray[np.bool_]


class Answer(NamedTuple):
    """Decisions on n rows; what a tier does not know is None.

    probabilities : n lists in the order of `classes`. outside_support : of each row the features that lie outside the
    range of the model's training. threshold : of the expected outcome (champion), of the probability of the last class
    (second tier) or of the rule score. most_a_session : of the rows beyond it, the best so many are traded; None: all.
    """

    tier: Tier
    model: str | None
    classes: list[str]
    threshold: float | None
    most_a_session: int | None
    expected: list[float | None] | None
    probabilities: list[list[float] | None] | None
    predicted_class: list[str | None] | None
    should_trade: list[bool]
    outside_support: list[list[str]] | None


def needed(model: Champion | None, strategy: Strategy) -> tuple[str, ...]:
    """The columns that a row must have: the model's features and what its class means are kept apart by; of the rule
    score that alone."""
    if model is None:
        return (SCORE,)
    of_cells = strategy.table.cells_from if model.bundle.classes else ()
    return tuple(dict.fromkeys((*model.features.columns, *of_cells)))


def score(columns: Columns, strategy: Strategy, settings: Settings, models: Models) -> Answer:
    """Decide on rows by the first tier that has a model, else by the rule score; all rows are of one session.

    columns : of `needed`, each with a value a row, None where a number is missing; no other name. Among equals the
    earlier row is traded.

    Raises BadData for a name too many or too few, or a value that is no number where one is needed; CannotAnswer never:
    a row whose answer is not finite is not traded.
    """
    tier, model = models.first
    n = _rows(columns, needed(model, strategy), "the rule score" if model is None else f"model {model.model_id}")
    if model is None:
        value, threshold, k = _numbers(columns, SCORE), strategy.task(settings).trade_score, settings.policy.k
        traded = _best(value, value >= threshold, k)
        return Answer(tier, None, [], threshold, k, None, None, None, traded.tolist(), None)
    return _by_model(columns, n, strategy, tier, model)


def _by_model(columns: Columns, n: int, strategy: Strategy, tier: Tier, model: Champion) -> Answer:
    bundle = model.bundle
    x = np.empty((n, len(model.features.columns)), np.float32)
    for place, name in enumerate(model.features.columns):
        x[:, place] = _numbers(columns, name)
    cells = np.zeros(n, np.int64), np.zeros(n, np.float32)
    if bundle.classes and strategy.table.cells_from:
        cells = strategy.table.cells({name: _of_one_kind(columns, name) for name in strategy.table.cells_from})
    answer = model.session.predict(x, *cells)
    expected, chances = answer.expected.reshape(n), answer.probabilities
    finite = np.isfinite(expected) & np.isfinite(chances).all(axis=1)
    threshold = bundle.trade_above if tier == Tier.CHAMPION else bundle.threshold
    value = expected if tier == Tier.CHAMPION else chances[:, -1]
    wide = value.astype(np.float64)  # thresholds are: a float32 beside one would be compared as such
    beyond = wide > bundle.trade_above if tier == Tier.CHAMPION else wide >= (threshold or 0.0)
    k = bundle.policy.k if bundle.policy else None
    outside = support.outside(bundle.support, model.features, x)
    names = np.array(model.features.columns)
    return Answer(
        tier,
        model.model_id,
        bundle.classes,
        threshold,
        k,
        [one if known else None for one, known in zip(expected.tolist(), finite.tolist(), strict=True)],
        _known(chances.tolist(), finite) if bundle.classes else None,
        _known([bundle.classes[i] for i in chances.argmax(axis=1)], finite) if bundle.classes else None,
        _best(wide, beyond & finite, k).tolist(),
        [names[row].tolist() for row in outside] if outside.any() else [[] for _ in range(n)],
    )


def _best(value: NDArray[np.float64], beyond: Bools, k: int | None) -> Bools:
    """Of the rows that are beyond their threshold, the `k` with the largest value."""
    if k is None or beyond.sum() <= k:
        return beyond
    order = np.argsort(np.where(beyond, -value, np.inf), kind="stable")[:k]
    chosen = np.zeros(len(value), bool)
    chosen[order] = True
    return chosen


def _known(values: list[Any], finite: Bools) -> list[Any]:
    return [value if known else None for value, known in zip(values, finite.tolist(), strict=True)]


def _rows(columns: Columns, wanted: Sequence[str], who: str) -> int:
    """Number of rows. Raises BadData unless the columns are those wanted, all equally long."""
    missing = [name for name in wanted if name not in columns]
    unexpected = [name for name in columns if name not in wanted]
    if missing or unexpected:
        hint = f" ({unexpected[0]}: {did_you_mean(unexpected[0], wanted)})" if unexpected else ""
        raise BadData(
            f"features: must be those that {who} asks for; missing: {', '.join(missing) or 'none'}; unexpected: "
            f"{', '.join(unexpected) or 'none'}{hint}. A value that is not known is null."
        )
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        shortest = min(lengths, key=lengths.__getitem__)
        raise BadData(
            f"features: every column must have a value for each row, but {shortest} has {lengths[shortest]} where "
            f"another has {max(lengths.values())}. Write null for what is not known."
        )
    return next(iter(lengths.values()))


def _numbers(columns: Columns, name: str) -> NDArray[np.float64]:
    """A column as numbers, null as NaN. Raises BadData for anything else."""
    wrong = next((value for value in columns[name] if isinstance(value, str | bool)), None)
    try:
        if wrong is None:
            return np.array(columns[name], np.float64)  # None becomes NaN
    except (TypeError, ValueError, OverflowError):
        wrong = next(value for value in columns[name] if not isinstance(value, int | float | None))
    raise BadData(f"features.{name}: must be a number or null, but got {wrong!r}.")


def _of_one_kind(columns: Columns, name: str) -> Sequence[Any]:
    """A column of text or of numbers. Raises BadData for one that has both."""
    if len({isinstance(value, str) for value in columns[name] if value is not None}) > 1:
        raise BadData(f"features.{name}: must hold values of one kind, or null, but has text and numbers.")
    return columns[name]
