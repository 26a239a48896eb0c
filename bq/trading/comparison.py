"""Tracks compared: what each made on its fixed capital, and whether one earns more than another.

Two questions that are never mixed: whose decisions are better (books of the same opportunities, paired session by
session), and what the tracks' executions earned (each on the symbols and weeks that were drawn for it, unpaired).
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.scalars import day, number, number_or_none
from bq.stats import drawdown, paired, power, sharpe
from bq.stats.bootstrap import LEAST_BLOCKS, Interval, bootstrap_mean
from bq.stats.paired import Look
from bq.stats.sequential import LEAST, Share, share_sequence
from bq.stats.sharpe_difference import SharpeDifference, sharpe_difference
from bq.stats.year import TRADING_DAYS
from bq.trading.costs import Cost
from bq.trading.tracks import Split

ALPHA = 0.05  # of every interval and sequence
DRAWS, SEED = 2000, 20260501
SHARPEST_TRADES = 100  # at which the bounds of a win rate are narrowest
TILTED = 0.05  # of the p-value below which a split is not what was planned
BLOCK = 2 * paired.SESSIONS  # sessions of a bootstrap block of marks, at least
Array = NDArray[np.float64]


class Question(StrEnum):
    """What is compared."""

    DECISIONS = "decisions"
    EXECUTIONS = "executions"


class Material(NamedTuple):
    """What tracks did, in currency. daily : track, session, pnl; every track has every session.

    trades : `trades.TRADES`, with `predicted`, the probability of the profit zone that a model gave, null where it gave
    none. zone : P&L over risk above which a trade is in it; without a risk any profit is.
    capital : fixed, of each track. given : the share of all opportunities that each had; its results are divided by it
    where tracks are compared. shortest : sessions of a block that observations begin with.
    """

    daily: pl.DataFrame
    trades: pl.DataFrame
    capital: Mapping[str, float]
    given: Mapping[str, float]
    costs: Sequence[Cost] = ()
    shortest: int = paired.SESSIONS
    held: Mapping[str, int] | None = None  # open positions of each track that are not among the trades
    opportunities: Mapping[str, int] | None = None  # that each track had; None: not known
    zone: float = 0.0


class Figures(NamedTuple):
    """What a track made. Returns are shares of its fixed capital and add up; NaN: there is no such figure."""

    track: str
    capital: float
    sessions: int
    opportunities: int | None
    trades: int  # closed
    still_open: int
    total: float  # sum
    win_rate: Share  # of closed trades, net of costs
    outcome: float  # mean of P&L over risk, of closed trades that have one
    sharpe: float  # annual, ddof 1
    sortino: float  # annual, deviation below 0
    drawdown: float  # of the running sum
    predicted: float  # mean probability of the profit zone …
    realised: float  # … and how often trades ended in it, of the same closed ones
    told: int  # of so many
    turnover: float  # traded over capital, a year
    fees: float
    cost: Cost | None


class Difference(NamedTuple):
    """A track's results less another's, as shares of capital, as if both had had every opportunity."""

    track: str
    base: str
    a_year: Interval  # by stationary bootstrap, for one look
    look: Look  # today's, of as many as one likes
    first_apart: dt.date | None  # on which who looks every day tells them apart; None: on no day
    first_sign: int  # 1: the track was the better one then, -1: the worse, 0: on no day
    sharpe: SharpeDifference | None  # per session; None: one of them has no ratio, or there are few blocks
    correlation: float  # of daily results
    saved: float  # share of the variance of an unpaired difference that pairing saves
    needed: int | None  # sessions in all that tell a difference of today's size; None: more than anybody waits


class Comparison(NamedTuple):
    """One question answered. returns : session and one column a track, shares of its capital.

    split : of an assignment by chance, which a comparison is void without; None: every track had every opportunity.
    """

    question: Question
    base: str
    figures: list[Figures]
    differences: list[Difference]
    superior: float | None  # Hansen's consistent p that no track is better than the base; None: fewer than three
    returns: pl.DataFrame
    zone: float  # P&L over risk above which a trade is in the profit zone
    split: Split | None = None


class Verdict(StrEnum):
    """What can be said of a track against another."""

    VOID = "void"  # the split is not what was planned
    TOO_FEW = "too_few"  # observations
    DEPENDENT = "dependent"  # observations, also in wider blocks
    BETTER = "better"
    WORSE = "worse"
    OPEN = "open"


def compare(question: Question, material: Material, base: str) -> Comparison:
    """Compare every track with the base."""
    returns = _returns(material)
    figures = [_figures(name, returns[name], material) for name in material.capital]
    whole = returns.select("session", *(pl.col(name) / part for name, part in material.given.items()))
    others = [name for name in material.capital if name != base]
    differences = [_difference(name, base, whole, material.shortest) for name in others]
    return Comparison(question, base, figures, differences, _superior(whole, others, base), returns, material.zone)


def verdict(found: Difference, split: Split | None = None) -> Verdict:
    """What can be said, however often one looks; once they were told apart it stays. split : as of `Comparison`.

    Equals are told apart on any day of twelve years in at most 5% of histories (`watched`).
    """
    if split is not None and split.p < TILTED:
        return Verdict.VOID
    if found.first_sign:
        return Verdict.BETTER if found.first_sign > 0 else Verdict.WORSE
    if len(found.look.values) < LEAST:
        return Verdict.TOO_FEW
    return Verdict.OPEN if found.look.enough else Verdict.DEPENDENT


def _returns(material: Material) -> pl.DataFrame:
    wide = material.daily.pivot("track", index="session", values="pnl").sort("session")
    return wide.select("session", *(pl.col(name) / capital for name, capital in material.capital.items()))


def _figures(track: str, returns: pl.Series, material: Material) -> Figures:
    own = material.trades.filter(pl.col("track") == track)
    closed = own.filter(pl.col("pnl").is_not_null())
    told = closed.filter(pl.col("predicted").is_not_null())
    risked = closed.filter(pl.col("risk") > 0)
    values, capital = returns.to_numpy(), material.capital[track]
    years = max(len(values), 1) / TRADING_DAYS
    wins = int((closed["pnl"] > 0).sum())
    return Figures(
        track=track,
        capital=capital,
        sessions=len(values),
        opportunities=None if material.opportunities is None else material.opportunities[track],
        trades=len(closed),
        still_open=len(own) - len(closed) + (material.held or {}).get(track, 0),
        total=float(values.sum()),
        win_rate=share_sequence(wins, len(closed), alpha=ALPHA, sharpest_at=SHARPEST_TRADES),
        outcome=_mean(risked["pnl"] / risked["risk"]),
        sharpe=sharpe.ratio(values) * math.sqrt(TRADING_DAYS),
        sortino=sortino(values),
        drawdown=drawdown.maximum_of_sum(returns),
        predicted=_mean(told["predicted"]),
        realised=_mean((told["pnl"] > material.zone * told["risk"].fill_null(0.0)).cast(pl.Float64)),
        told=len(told),
        turnover=number(own["turnover"].sum()) / capital / years,
        fees=number(own["fees"].sum()) / capital,
        cost=next((one for one in material.costs if one.track == track), None),
    )


def sortino(returns: Array) -> float:
    """Annual mean of daily results over their deviation below 0, √mean(min(x, 0)²); NaN where none is below.

    Sortino & Price 1994, doi:10.3905/joi.3.3.59.

    >>> round(sortino(np.array([0.01, -0.01, 0.02, 0.0])), 3)
    15.875
    """
    if not len(returns):
        return math.nan
    below = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)))
    return sharpe.over(float(returns.mean()), below, of=returns) * math.sqrt(TRADING_DAYS)


def _difference(track: str, base: str, whole: pl.DataFrame, shortest: int) -> Difference:
    first, second = (whole[name].to_numpy() for name in (track, base))
    apart = first - second
    found = paired.look(apart, sessions=shortest, alpha=ALPHA)
    seen = paired.first_apart(apart, sessions=shortest, alpha=ALPHA)
    block = max(BLOCK, found.sessions)
    mean = bootstrap_mean(apart, block=block, alpha=ALPHA / 2, draws=DRAWS, seed=SEED)
    a_year = mean._replace(**{name: getattr(mean, name) * TRADING_DAYS for name in ("mean", "low", "high")})
    separate = float(first.var() + second.var()) if len(first) else 0.0
    varying = len(first) > 2 and sharpe.varies(first) and sharpe.varies(second)
    return Difference(
        track=track,
        base=base,
        a_year=a_year,
        look=found,
        first_apart=None if seen is None else day(whole["session"][seen - 1]),
        first_sign=0 if seen is None else paired.look(apart[:seen], sessions=shortest, alpha=ALPHA).apart,
        sharpe=_sharpes(first, second, block) if varying else None,
        correlation=float(np.corrcoef(first, second)[0, 1]) if varying else math.nan,
        saved=1.0 - float(apart.var()) / separate if separate > 0.0 else math.nan,
        needed=_needed(found),
    )


def _sharpes(first: Array, second: Array, block: int) -> SharpeDifference | None:
    if len(first) < LEAST_BLOCKS * block:
        return None
    return sharpe_difference(100.0 * first, 100.0 * second, block=block, alpha=ALPHA, draws=DRAWS, seed=SEED)


def _needed(found: Look) -> int | None:
    """Sessions in all after which a difference of this size is told apart with probability 80%."""
    spread = float(found.values.std(ddof=1)) if len(found.values) > 1 else 0.0
    if spread == 0.0:
        return None
    sharpest = paired.sharpest(found.sessions)
    count = power.observations(float(found.values.mean()) / spread, alpha=ALPHA, sharpest_at=sharpest)
    return None if count is None else count * found.sessions


def _superior(whole: pl.DataFrame, others: Sequence[str], base: str) -> float | None:
    """Superior predictive ability: Hansen 2005, doi:10.1198/073500105000000063, of losses, consistent p."""
    if len(others) < 2 or len(whole) < 2 * BLOCK:
        return None
    from arch.bootstrap import SPA

    losses = -whole.select(base, *others).to_numpy()
    test = SPA(losses[:, 0], losses[:, 1:], block_size=BLOCK, reps=DRAWS, seed=SEED)
    test.compute()
    return float(test.pvalues["consistent"])


def _mean(values: pl.Series) -> float:
    found = number_or_none(values.mean())
    return math.nan if found is None else found
