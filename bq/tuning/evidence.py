"""The joint gate of a tuning: deflated Sharpe ratio and probability of overfitting of the best trial."""

from typing import Any, NamedTuple

import polars as pl

from bq.serving import deflation, ledger
from bq.serving.ledger import Deflated
from bq.stats import overfitting
from bq.strategies.component import Component, Kind, Missing

LEAST_PROBABILITY = 0.95  # that the Sharpe ratio exceeds the best of as many trials without skill
MOST_OVERFITTING = 0.2  # noise gives 0.5 on average with a spread of 0.18, so a value just below 0.5 proves nothing


class Evidence(NamedTuple):
    """The two figures that must both hold."""

    deflated: Deflated
    overfitting: float | None  # None with fewer than two effective trials
    components: list[Component]

    @property
    def passed(self) -> bool:
        """Whether both hold; an inconclusive one does not."""
        return all(component.holds for component in self.components)


def judge(own: pl.DataFrame, study: pl.DataFrame, tried: pl.DataFrame) -> Evidence:
    """Deflated Sharpe ratio of the chosen trial, and probability that the choice among the trials is overfitted.

    own : session, value; daily returns of the chosen trial. study : session and one column per trial that could
    have been chosen. tried : the same for every trial on these sessions (`ledger.on`), those of the study included.

    Trials that move together count as one in both figures: a search revisits what did well, and ranks among near copies
    are random whatever the skill.
    """
    deflated = ledger.deflate(own, tried, least=LEAST_PROBABILITY)
    sharpe = deflation.component(deflated, LEAST_PROBABILITY)
    trials = study.drop("session").to_numpy()
    effective = overfitting.distinct_trials(trials)
    if effective.shape[1] < 2:
        return Evidence(deflated, None, [sharpe, _no_choice(trials.shape[1])])
    share, all_trials = (overfitting.backtest_overfitting(of) for of in (effective, trials))
    return Evidence(deflated, share, [sharpe, _choice(share, all_trials, trials.shape[1], effective.shape[1])])


def _choice(share: float, all_trials: float, trials: int, effective: int) -> Component:
    missing = Missing(by=share - MOST_OVERFITTING)
    counts = {"trials": trials, "effective": effective, "all_trials": all_trials}
    facts: dict[str, Any] = {"value": share, "threshold": MOST_OVERFITTING, "more": counts}
    return Component.asked(Kind.OVERFITTING, share < MOST_OVERFITTING, missing, **facts)


def _no_choice(trials: int) -> Component:
    return Component.asked(Kind.OVERFITTING, None, threshold=MOST_OVERFITTING, more={"trials": trials})
