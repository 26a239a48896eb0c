"""How a tuning divides time: a training part, validation folds, and a holdout that is scored once."""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.core.errors import BadData
from bq.core.settings import Tuning
from bq.strategies.backtester import Span

SHORTEST = 60  # sessions of a fold or of the holdout


class Windows(NamedTuple):
    """Consecutive spans of sessions; nothing is chosen by the first."""

    train: Span
    folds: tuple[Span, ...]
    holdout: Span

    @property
    def validation(self) -> Span:
        """From the first fold's start to the last fold's end."""
        return Span(self.folds[0].start, self.folds[-1].end)


def divide(sessions: NDArray[np.datetime64], tuning: Tuning) -> Windows:
    """Divide sessions (ascending) by the shares of `tuning`; fold lengths differ by at most one session.

    Raises BadData where a fold or the holdout has fewer than 60 sessions.
    """
    n = len(sessions)
    first, last = int(n * tuning.train_share), n - int(n * tuning.holdout_share)
    edges = [0, *np.linspace(first, last, tuning.folds + 1).astype(int).tolist(), n]
    shortest = min(b - a for a, b in itertools.pairwise(edges[1:]))
    if shortest < SHORTEST:
        raise BadData(
            f"tuning: each of {tuning.folds} validation folds and the holdout must have {SHORTEST} sessions, but one "
            f"has {shortest} of {n} in all. Bring more history, or set tuning.folds lower."
        )
    days = [day.item() for day in sessions.astype("datetime64[D]")]
    spans = [Span(days[a], days[b - 1]) for a, b in itertools.pairwise(edges)]
    return Windows(spans[0], tuple(spans[1:-1]), spans[-1])
