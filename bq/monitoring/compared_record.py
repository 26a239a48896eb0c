"""What a comparison of tracks came to, kept in its run folder as comparison.json."""

import datetime as dt
import math

from bq.core.records import Facts, Record
from bq.monitoring.compared import Compared, Origin, Without
from bq.stats.sequential import LEAST
from bq.stats.year import TRADING_DAYS
from bq.trading import comparison
from bq.trading.comparison import Comparison, Difference, Question, Verdict
from bq.trading.tracks import Split

FILE = "comparison.json"


class Answer(Facts):
    """One track against another. Means are shares of capital a year; bounds are of one look of as many as one likes."""

    track: str
    base: str
    verdict: Verdict
    since: dt.date | None = None  # on which they were told apart
    observations: int
    sessions: int  # of an observation
    mean: float | None
    low: float | None = None
    high: float | None = None
    autocorrelation: float | None = None
    band: float
    days: int  # sessions compared so far
    needed: int | None  # sessions in all that would tell a difference of today's size


class Asked(Facts):
    """A question with its answers, or why it has none."""

    question: Question
    without: Without | None = None
    scans: int = 0  # that were made, where none of them counts
    answers: list[Answer] = []


class ComparisonRecord(Record):
    """Both questions."""

    schema_version: int = 1
    origin: Origin
    name: str
    source: str
    asked: list[Asked]


def of(found: Compared) -> ComparisonRecord:
    """The record of a comparison."""
    both = [
        asked(Question.DECISIONS, found.decisions, found.scans),
        asked(Question.EXECUTIONS, found.executions),
    ]
    return ComparisonRecord(origin=found.origin, name=found.name, source=found.source, asked=both)


def asked(question: Question, found: Comparison | Without, scans: int = 0) -> Asked:
    """One question with its answers. scans : that were made, where none of them counts."""
    if isinstance(found, Without):
        return Asked(question=question, without=found, scans=scans)
    days = len(found.returns)
    return Asked(question=question, answers=[_answer(one, found.split, days) for one in found.differences])


def _answer(one: Difference, split: Split | None, days: int) -> Answer:
    look, a_year = one.look, TRADING_DAYS / one.look.sessions
    bounds = [None, None] if len(look.values) < LEAST else [look.sequence.low[-1], look.sequence.high[-1]]
    mean = float(look.values.mean()) if len(look.values) else None
    return Answer(
        track=one.track,
        base=one.base,
        verdict=comparison.verdict(one, split),
        since=one.first_apart,
        observations=len(look.values),
        sessions=look.sessions,
        mean=None if mean is None else mean * a_year,
        **{name: None if at is None else float(at) * a_year for name, at in zip(("low", "high"), bounds, strict=True)},
        autocorrelation=None if math.isnan(look.autocorrelation) else look.autocorrelation,
        band=look.band,
        days=days,
        needed=one.needed,
    )
