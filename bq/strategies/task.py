"""What is learned of an event: the class of its outcome, or its z-score among those of its session."""

from typing import NamedTuple

import polars as pl

from bq.stats.rank_ic import SMALLEST_CROSS_SECTION
from bq.stats.sharpe import STILL

WINSOR = 3.0  # standard deviations beyond which a z-score is cut


class Task(NamedTuple):
    """What is learned: the class of an outcome, or without classes its z-score among those of its session."""

    classes: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()  # ascending; class i holds outcomes in [edges[i-1], edges[i])
    outcome: str = "outcome"  # what an outcome is, for people: ROI, R, …
    trade_score: float = 0.0  # rule score from which the rules trade where no model decides

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
        deviation), winsorised at ±3 (Float64); null in a session of fewer than five outcomes or of equal ones.
        """
        if self.classes:
            index = pl.sum_horizontal(*[(outcome >= edge).cast(pl.Int64) for edge in self.edges])
            return pl.when(outcome.is_not_null()).then(index)
        spread = outcome.std().over("session")
        still = STILL * outcome.abs().max().over("session")
        enough = (outcome.count().over("session") >= SMALLEST_CROSS_SECTION) & (spread > still)
        return pl.when(enough).then(((outcome - outcome.mean().over("session")) / spread).clip(-WINSOR, WINSOR))
