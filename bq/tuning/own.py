"""What a user searches by hand in place of what the strategy brings: another objective, other parameters."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import polars as pl
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from bq.core import files
from bq.core.errors import BadParameters, describe, did_you_mean, reason
from bq.core.faults import names
from bq.core.settings import Settings
from bq.strategies.backtester import Score, Scorer, Span
from bq.tuning.study import Ranges

Objective = Callable[[pl.DataFrame], float]  # of a span's daily returns: session, value, buy_and_hold
Search = Mapping[str, range | Sequence[Any] | BaseDistribution]  # by dotted name of a parameter


def ranges(search: Search, model: type[Settings]) -> Ranges:
    """What a search tries, as Optuna distributions: whole numbers of a range, one of a list, or a distribution.

    Raises BadParameters for a name that is no parameter, and for anything else in the place of a range.
    """
    if not search:
        raise BadParameters("`search` must name a parameter or more with what is tried, but is empty.")
    known = names(model)
    unknown = [name for name in search if name not in known]
    if unknown:
        raise BadParameters(f"`search`: {unknown[0]!r} is not a parameter; {did_you_mean(unknown[0], known)}")
    return {name: _distribution(name, of) for name, of in search.items()}


def _distribution(name: str, of: Any) -> BaseDistribution:
    if isinstance(of, BaseDistribution):
        return of
    if isinstance(of, range) and len(of):
        return IntDistribution(min(of), max(of), step=abs(of.step))
    if isinstance(of, list | tuple) and of:
        return CategoricalDistribution(of)
    raise BadParameters(
        f"`search`: {name} must have a range (range(4, 13)), a list of values ([20, 50]) or a distribution of Optuna, "
        f"but got {describe(of)}."
    )


def judged_by(objective: Objective, scorer: Scorer) -> Scorer:
    """The same backtests, each span by the objective of its daily returns instead of by `tuning.objective`."""

    def score(settings: Any, spans: Sequence[Span]) -> Score:
        made = scorer.score(settings, spans)
        days = [made.series.filter(pl.col("session").is_between(*span)) for span in spans]
        held = [one.with_columns(value="buy_and_hold") for one in days]
        hold = float(np.mean([_figure(objective, one) for one in held]))
        return made._replace(folds=[_figure(objective, one) for one in days], hold=hold)

    return scorer._replace(score=score)


def _figure(objective: Objective, days: pl.DataFrame) -> float:
    try:
        value = objective(days)
    except pl.exceptions.ColumnNotFoundError as error:
        raise BadParameters(
            f"`objective` must use the columns that it is given ({', '.join(days.columns)}), but in "
            f"{called(objective)}: {reason(error)}."
        ) from None
    if not isinstance(value, Real):
        raise BadParameters(
            f"`objective` must return a number, NaN where there is none, but {called(objective)} returned "
            f"{'None: does it end in `return`?' if value is None else f'{describe(value)}.'}"
        )
    return float(value)


def called(objective: Objective) -> str:
    """The name of an objective, for people."""
    return getattr(objective, "__name__", type(objective).__name__)


def identity(objective: Objective) -> str:
    """A name that is another one where the objective is: trials of different objectives are different looks."""
    try:
        source = inspect.getsource(objective)
    except (OSError, TypeError):  # typed at a prompt, or no function
        code = getattr(objective, "__code__", None)
        source = repr((code.co_code, code.co_consts, code.co_names) if code else objective)
    bound = [repr(cell.cell_contents) for cell in getattr(objective, "__closure__", None) or ()]
    return f"{called(objective)}:{files.digest([source, *bound], length=8)}"
