"""What the best of many trials proves: the joint gate of a tuning."""

import math
from typing import NamedTuple

import polars as pl

from bq.serving import ledger
from bq.serving.ledger import Deflated
from bq.stats import overfitting
from bq.stats.overfitting import SAME_TRIAL
from bq.strategies.component import Component

LEAST_PROBABILITY = 0.95  # that the Sharpe ratio exceeds the best of as many useless trials
MOST_OVERFITTING = 0.2  # noise averages a half with a spread of .18: less than a half alone says nothing
SESSIONS_A_MONTH = 21
CHOICE = "probability of overfitting"


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
    trials = study.drop("session").to_numpy()
    different = overfitting.different_trials(trials)
    if different.shape[1] < 2:
        return Evidence(deflated, None, [_sharpe(deflated), _no_choice(trials.shape[1])])
    share, apart = (overfitting.backtest_overfitting(of) for of in (different, trials))
    return Evidence(deflated, share, [_sharpe(deflated), _choice(share, apart, trials.shape[1], different.shape[1])])


def _sharpe(found: Deflated) -> Component:
    if math.isfinite(found.needed):
        months = max(found.needed - found.sessions, 0.0) / SESSIONS_A_MONTH
        needed = f"about {months:,.0f} more months of such returns, without more trials"
    else:
        needed = "a higher Sharpe ratio, or fewer different trials: the best of as many useless ones shows this one too"
    holds = min(found.probability, found.revised) >= LEAST_PROBABILITY
    statement = f"{found}; {LEAST_PROBABILITY} asked of both"
    return Component.of("deflated Sharpe ratio", holds, statement, needed)


def _choice(share: float, apart: float, trials: int, different: int) -> Component:
    statement = (
        f"in {share:.0%} of splits the in-sample winner ranked at or below the out-of-sample median ({trials} trials, "
        f"{different} effectively distinct; {apart:.0%} with near copies apart); must be below {MOST_OVERFITTING:.0%}"
    )
    needed = "parameters whose ranking lasts: narrower ranges around what is known to work, or more history"
    return Component.of(CHOICE, share < MOST_OVERFITTING, statement, needed)


def _no_choice(trials: int) -> Component:
    statement = f"{trials} trials are all one ({SAME_TRIAL} correlation): there was nothing to choose among"
    return Component.of(CHOICE, None, statement, "trials that differ: more of them, or wider ranges")
