"""What the best of many trials proves: the joint gate of a tuning."""

from typing import NamedTuple

import polars as pl

from bq.serving import gates, ledger
from bq.serving.ledger import Deflated
from bq.stats import overfitting
from bq.strategies.component import Component, Kind, Missing

LEAST_PROBABILITY = 0.95  # that the Sharpe ratio exceeds the best of as many useless trials
MOST_OVERFITTING = 0.2  # noise averages a half with a spread of .18: less than a half alone says nothing


class Evidence(NamedTuple):
    """The two figures that must hold together."""

    deflated: Deflated
    overfitting: float | None  # None with fewer than two different trials
    components: list[Component]

    @property
    def passed(self) -> bool:
        """Whether both hold; what could not be told does not."""
        return all(component.holds for component in self.components)


def judge(own: pl.DataFrame, study: pl.DataFrame, tried: pl.DataFrame) -> Evidence:
    """The deflated Sharpe ratio of the chosen trial, and how often choosing among the study's trials fails later.

    own : session, value; daily returns of the chosen trial. study : session and a column for each trial that could
    have been chosen. tried : the same of everything ever tried on these sessions (`ledger.on`), the study's among it.

    Trials that move together count as one in both figures: a search returns to what did well, and among near copies
    ranks are a toss-up whatever the skill.
    """
    deflated = ledger.deflate(own, tried, least=LEAST_PROBABILITY)
    sharpe = gates.deflated(deflated, LEAST_PROBABILITY)
    trials = study.drop("session").to_numpy()
    different = overfitting.distinct_trials(trials)
    if different.shape[1] < 2:
        return Evidence(deflated, None, [sharpe, _no_choice(trials.shape[1])])
    share, apart = (overfitting.backtest_overfitting(of) for of in (different, trials))
    return Evidence(deflated, share, [sharpe, _choice(share, apart, trials.shape[1], different.shape[1])])


def _choice(share: float, apart: float, trials: int, different: int) -> Component:
    missing, counts = Missing(by=share - MOST_OVERFITTING), {"trials": trials, "different": different, "apart": apart}
    held = {"value": share, "threshold": MOST_OVERFITTING, "more": counts}
    return Component.asked(Kind.OVERFITTING, share < MOST_OVERFITTING, missing, **held)


def _no_choice(trials: int) -> Component:
    return Component.asked(Kind.OVERFITTING, None, threshold=MOST_OVERFITTING, more={"trials": trials})
