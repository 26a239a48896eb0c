"""Learnt weights at work: the deployed policy moves the weights of the rule score, session by session.

`score` never moves. The score by learnt weights is a column of its own (`LEARNT`), and where the rules decide by it
they trade as many events of a session as by the score itself.
"""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bq.core.settings import Settings
from bq.learning.weighing import Array, Grid, Sessions, sessions_of, weighing_of
from bq.learning.weight_policy import Answer, path
from bq.serving import decide
from bq.serving.decide import Loaded
from bq.serving.session import Session
from bq.strategies import policy, store
from bq.strategies.contract import Strategy
from bq.strategies.policy import FROM, SCORE
from bq.strategies.weighing import LEARNT, LEARNT_WEIGHTS

if TYPE_CHECKING:
    from bq.market import MarketData

SHARES = {LEARNT_WEIGHTS: pl.List(pl.Float64)}
COLUMNS: dict[str, pl.DataType] = {LEARNT: pl.Float64(), **SHARES}


def load(strategy: Strategy, settings: Settings) -> Loaded:
    """The deployed policy, or why there is none that can answer."""
    weighing_of(strategy)
    return decide.load_tier(strategy, settings.namespace.weights)


def actions_of(loaded: Loaded) -> Answer | None:
    """How a deployed policy answers; None where none is deployed."""
    return None if loaded.model is None else answer_of(loaded.model.session)


def answer_of(session: Session) -> Answer:
    """How a policy answers."""
    return lambda seen: session.predict_policy(seen).actions


def scored_by(
    events: pl.DataFrame, walked_over: pl.DataFrame, answer: Answer, strategy: Strategy, settings: Settings
) -> pl.DataFrame:
    """Events with the score by the weights of a policy that has gone through all sessions of `walked_over`."""
    grid = Grid.of(len(weighing_of(strategy).components))
    sessions = sessions_of(walked_over, strategy, settings, grid)
    return with_learnt(events, sessions.session, walked(sessions, answer, strategy, settings, grid), strategy, settings)


def walked(sessions: Sessions, answer: Answer, strategy: Strategy, settings: Settings, grid: Grid) -> Array:
    """The weights by which a policy chooses in each session, from the settings' own on: (n_sessions, n_components)."""
    start = grid.nearest(np.array(weighing_of(strategy).given(settings)))
    return grid.shares[path(answer, sessions, grid, start)]


def with_learnt(
    events: pl.DataFrame, sessions: pl.Series, weights: Array, strategy: Strategy, settings: Settings
) -> pl.DataFrame:
    """Events with the score by the weights of their session, and these; null in a session that has none."""
    rows = pl.DataFrame({"session": sessions, "row": np.arange(len(sessions))})
    placed = events.select("session").join(rows, on="session", how="left", maintain_order="left")["row"]
    known = placed.is_not_null().to_numpy()
    score = np.full(len(events), np.nan)
    own = events.filter(pl.Series(known))
    score[known] = weighing_of(strategy).scored(own, weights[placed.drop_nulls().to_numpy()], settings)
    named = pl.DataFrame({"session": sessions, LEARNT_WEIGHTS: list(weights)}, schema_overrides=SHARES)
    scored = events.drop(COLUMNS, strict=False).with_columns(pl.Series(LEARNT, score, dtype=pl.Float64).fill_nan(None))
    return scored.join(named, on="session", how="left", maintain_order="left")


def attached(
    events: pl.DataFrame, market: "MarketData", strategy: Strategy, settings: Settings, loaded: Loaded | None = None
) -> pl.DataFrame:
    """Events with their learnt score and, as a list, the weights of their session; null where no policy is deployed.

    events : whole sessions. The weights have gone the way of the policy from the market's first session on, on its
    schedule; of each outcome only what had matured counts. loaded : as from `load`; None loads it.
    """
    answer = actions_of(loaded or load(strategy, settings))
    if answer is None or events.is_empty():
        return events.with_columns(**{name: pl.lit(None, kind) for name, kind in COLUMNS.items()})
    history = store.collect(strategy, settings, market).events
    own = events.select(name for name in events.columns if name in history.columns)
    before = history.filter(
        pl.col("session") < own["session"].max(), ~pl.col("session").is_in(own["session"].implode())
    )
    both = pl.concat([before.select(own.columns), own])
    return scored_by(events, both, answer, strategy, settings)


def traded(events: pl.DataFrame, strategy: Strategy, settings: Settings) -> pl.Series:
    """Whether each event is traded by its learnt score: of each session as many as by the score itself."""
    known = events.with_columns(pl.lit(strategy.task(settings).trade_score).alias(FROM))
    return policy.as_many(known, LEARNT, policy.traded(known, SCORE, settings.policy.k))


def earned(events: pl.DataFrame, strategy: Strategy, settings: Settings) -> pl.DataFrame:
    """What learnt weights earned beside others, one row a session: session, model, baseline, everything, uplift."""
    known = events.with_columns(pl.lit(strategy.task(settings).trade_score).alias(FROM))
    k = settings.policy.k
    own = policy.earned_of(known, traded(events, strategy, settings), k).rename({"value": "model"})
    rule = policy.earned(known, SCORE, k).rename({"value": "baseline"})
    everything = policy.earned(known, None, k).rename({"value": "everything"})
    pairs = own.join(rule, on="session").join(everything, on="session").sort("session")
    return pairs.with_columns(uplift=pl.col("model") - pl.col("baseline"))
