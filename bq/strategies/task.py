"""What is learned of an event: the class of its outcome, or its z-score among those of its session.

What all names share with the market is noise for who forecasts a name among others, and a wild name says less of what
moves names than a calm one: so a return may be freed of the market's part and divided by the name's own volatility, as
forecasts of residual returns are made (Grinold & Kahn 2000, Active Portfolio Management, chapters 6 and 10).
"""

from typing import NamedTuple

import polars as pl

from bq.stats.rank_ic import SMALLEST_CROSS_SECTION
from bq.stats.sharpe import STILL

WINSOR = 3.0  # standard deviations beyond which a z-score is cut
CALMEST = 0.5  # of the session's median volatility: a name that hardly moves is taken to move so much


class Task(NamedTuple):
    """What is learned: the class of an outcome, or without classes its z-score among those of its session."""

    classes: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()  # ascending; class i holds outcomes in [edges[i-1], edges[i])
    outcome: str = "outcome"  # what an outcome is, for people: ROI, R, …
    trade_score: float = 0.0  # rule score from which the rules trade where no model decides
    beta: str | None = None  # column, known at t0: without classes, the outcome's part along it is taken out
    volatility: str | None = None  # column, known at t0: what is left is divided by it

    @property
    def expected(self) -> str:
        """What a model's expectation is of, for people."""
        return self.outcome if self.classes else "z-score"

    @property
    def probability(self) -> str:
        """Column of predictions with the probability of the last class."""
        return f"p_{self.classes[-1]}"

    def label(self, outcome: pl.Expr) -> pl.Expr:
        """Label of each outcome, null while the outcome is.

        With classes their index (Int64). Without, the cross-sectional z-score within `session` (sample standard
        deviation), winsorised at ±3 (Float64), of the outcome less its regression on `beta` among the session's known
        outcomes, over `volatility`, where the task names these columns; null in a session of fewer than five outcomes
        or of equal ones. A name without a beta has the session's mean one, without a volatility the median one.
        """
        if self.classes:
            index = pl.sum_horizontal(*[(outcome >= edge).cast(pl.Int64) for edge in self.edges])
            return pl.when(outcome.is_not_null()).then(index)
        own = outcome - outcome.mean()
        if self.beta:
            own = own - _along(own, _known(self.beta, outcome))
        enough = (outcome.count() >= SMALLEST_CROSS_SECTION) & (own.std() > STILL * outcome.abs().max())
        if self.volatility:
            own = own / _volatility(_known(self.volatility, outcome))
        return pl.when(enough).then(((own - own.mean()) / own.std()).clip(-WINSOR, WINSOR)).over("session")


def _known(column: str, outcome: pl.Expr) -> pl.Expr:
    """The values of a column beside known outcomes, null where missing."""
    return pl.when(outcome.is_not_null()).then(pl.col(column).cast(pl.Float64).fill_nan(None))


def _along(own: pl.Expr, beta: pl.Expr) -> pl.Expr:
    """The part of what deviates from a session's mean that its regression on the betas explains."""
    away = (beta - beta.mean()).fill_null(0.0)
    square = (away**2).sum()
    return pl.when(square > 0.0).then((own * away).sum() / square * away).otherwise(0.0)


def _volatility(found: pl.Expr) -> pl.Expr:
    return pl.max_horizontal(found.fill_null(found.median()), CALMEST * found.median()).fill_null(1.0)
