"""What a policy of score weights sees and earns, session by session: one computation for training and for serving.

Weights move on a grid: shares in steps of 5%, none below 5% or above 50%. What choosing by each of its points would
have earned is known afterwards, so a session tells of all of them.
"""

import itertools
from typing import NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.errors import BadParameters
from bq.core.settings import Settings
from bq.learning.sample import Float32, Rows
from bq.strategies import policy
from bq.strategies.contract import Strategy
from bq.strategies.policy import FROM, SCORE
from bq.strategies.weighing import SPANS, Weighing

STEP, LEAST, MOST = 5, 5, 50  # percent
WHOLE = 100

Array = NDArray[np.float64]


class Grid(NamedTuple):
    """The weights that a policy may choose, and where each action leads."""

    points: NDArray[np.int64]  # (n_points, n_components), percent, sum 100
    moves: NDArray[np.int64]  # (n_actions, n_components), what each action adds to them
    after: NDArray[np.int64]  # (n_points, n_actions): the point after an action, the same where none lies there

    @classmethod
    def of(cls, components: int) -> Self:
        """All points; action 0 stays, each other one moves a step from one weight to another.

        >>> grid = Grid.of(4)
        >>> grid.points.shape, grid.after.shape, int(grid.points.min()), int(grid.points.max())
        ((633, 4), (633, 13), 5, 50)
        """
        levels = range(LEAST, MOST + 1, STEP)
        rows = [row for row in itertools.product(levels, repeat=components) if sum(row) == WHOLE]
        place = {row: i for i, row in enumerate(rows)}
        points, moves = np.array(rows), np.zeros((1, components), np.int64)
        for source, target in itertools.permutations(range(components), 2):
            move = np.zeros(components, np.int64)
            move[source], move[target] = -STEP, STEP
            moves = np.vstack([moves, move])
        after = [[place.get(tuple(moved), i) for moved in point + moves] for i, point in enumerate(points)]
        return cls(points, moves, np.array(after))

    @property
    def shares(self) -> Array:
        """The points as shares of 1."""
        return self.points / WHOLE

    def nearest(self, shares: NDArray) -> int:
        """The point nearest to weights of sum 1, the first of several."""
        return int(((self.shares - shares) ** 2).sum(axis=1).argmin())


class Sessions(NamedTuple):
    """One row a session, in time order."""

    session: pl.Series
    known: Rows  # (n,) how many of the earliest sessions had matured at this one's t0
    due: Rows  # (n,) microseconds since 1970: when all of its outcomes are known
    t0: Rows  # (n,) microseconds since 1970
    trades: Rows  # (n,) what the score itself trades: any other weights trade as many
    state: Float32  # (n, n_seen) what is known at t0, NaN where missing; of the weights nothing
    results: Array  # (n, n_points) what choosing by each point earned; NaN where it is not known yet
    given: Array  # (n,) the same by the score as it is

    @property
    def matured(self) -> int:
        """How many of the earliest sessions have a result."""
        return int(np.isfinite(self.given).cumprod().sum())


def weighing_of(strategy: Strategy) -> Weighing:
    """The strategy's weighing. Raises BadParameters where its score has no components."""
    if strategy.weighing is None:
        raise BadParameters(
            f"learnt weights must be of a strategy that keeps the components of its rule score with each event, but "
            f"{strategy.name} does not."
        )
    return strategy.weighing


def sessions_of(events: pl.DataFrame, strategy: Strategy, settings: Settings, grid: Grid) -> Sessions:
    """The sessions of events, whole ones, matured or not.

    Of each session so many events are chosen as the score trades, the best by the other weights; each has its slot of
    the session as in `policy.chosen`. A session in which the score trades nothing earned 0.
    """
    weighing = weighing_of(strategy)
    rows = events.sort("session", "event_id")
    rows = rows.with_columns(pl.lit(strategy.task(settings).trade_score).alias(FROM))
    taken = policy.traded(rows, SCORE, settings.policy.k)
    values, less = weighing.parts(rows, settings)
    outcome = rows["outcome"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    by_session = rows.with_columns(taken=taken).group_by("session", maintain_order=True)
    table = by_session.agg(
        n=pl.len(),
        trades=pl.col("taken").sum().cast(pl.Int64),
        t0=pl.col("t0").dt.epoch("us").max(),
        due=pl.col("t1_due").dt.epoch("us").max(),
        **{f"market_{name}": pl.col(name).cast(pl.Float64).fill_nan(None).mean() for name in weighing.market},
    )
    edges = np.concatenate([[0], table["n"].cum_sum().to_numpy()])
    slots = table["n"].to_numpy() if settings.policy.k is None else np.minimum(table["n"], settings.policy.k)
    trades, due, t0 = (table[name].to_numpy() for name in ("trades", "due", "t0"))
    results, given, level = [], [], []
    own = np.where(taken.to_numpy(), outcome, 0.0)
    for i, (a, b) in enumerate(itertools.pairwise(edges)):
        score = values[a:b] @ grid.shares.T - less[a:b, None]
        best = np.argsort(-score, axis=0, kind="stable")[: trades[i]]  # ties by event id, as the policy breaks them
        results.append(outcome[a:b][best].sum(axis=0) / slots[i])
        given.append(own[a:b].sum() / slots[i])
        level.append(values[a:b].mean(axis=0) / WHOLE)
    whole = np.array(results)
    known = np.searchsorted(np.maximum.accumulate(due), t0, side="right")
    market = table.select(pl.col("^market_.*$")).fill_null(np.nan).to_numpy().reshape(len(table), -1)
    state = np.hstack([market, np.array(level), paid(whole, known, grid)]).astype(np.float32)
    return Sessions(table["session"], known, due, t0, trades, state, whole, np.array(given))


def paid(results: Array, known: Rows, grid: Grid) -> Array:
    """What each component's weight has earned lately, of what had matured: shape (n, spans × components).

    Slope of a session's results on the component's share over the points of the grid, its mean over the newest matured
    sessions; NaN while there are fewer than asked for.
    """
    centred = grid.shares - grid.shares.mean(axis=0)
    slopes = results @ (centred / (centred**2).sum(axis=0))
    sums = np.vstack([np.zeros(slopes.shape[1]), np.nancumsum(slopes, axis=0)])
    found = []
    for span in SPANS:
        means = (sums[known] - sums[np.maximum(known - span, 0)]) / span
        found.append(np.where((known >= span)[:, None], means, np.nan))
    return np.hstack(found)
