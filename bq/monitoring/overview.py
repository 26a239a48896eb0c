"""What monitoring knows of one namespace, small enough for a page over all of them.

Decisions that count and have an outcome: what they earned beside the rule score, and by week what was promised of them.
Derived from the database and the models alone; `of` computes, `bq.monitoring.overviews` keeps.
"""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from bq.core.namespace import Namespace, Tier
from bq.core.records import Facts, Number, Record
from bq.core.scalars import count, day, number_or_none
from bq.monitoring import performance, predictions, promise
from bq.monitoring.observed import Observed
from bq.monitoring.performance import Baseline, Measure

WEEKS = 26  # of the newest: half a year
POINTS = 160  # of a running sum that are kept


class Week(Facts):
    """Predicted and realised outcome of the decisions of a week, and their difference over a window that ends in it."""

    week: dt.date  # its Monday
    events: int
    predicted: Number
    realised: Number
    window_from: dt.date
    window_predicted: Number
    window_realised: Number
    difference: Number  # realised - predicted
    low: Number
    high: Number
    alarm: bool


class Net(Facts):
    """Net outcome of a session's trades, with its interval, beside the same sessions by the rule score."""

    value: Number
    low: Number
    high: Number
    rule: Number  # None of a portfolio: its weights by the rule score are not recorded
    difference: Number
    difference_low: Number
    difference_high: Number
    blocks: Number
    months: Number  # in all, until such a difference is told from none


class Sums(Facts):
    """Running sums of the net outcome by session, thinned to POINTS: who decided, rule score, every event."""

    sessions: list[dt.date]
    decided: list[Number]
    rule: list[Number]
    everything: list[Number]


class Overview(Record):
    """Decisions of a namespace that count. `state` is that of the records that it was computed from."""

    namespace: str
    state: str
    outcome: str  # what an outcome is, for people
    promises: bool  # whether predictions are in the unit of an outcome
    counted: int = 0
    matured: int = 0
    in_sample: int = 0  # of the matured ones: measured nowhere
    first: dt.date | None = None  # session of counted decisions
    last: dt.date | None = None
    next_due: dt.date | None = None  # of the open ones
    tier: Tier | None = None  # whose decisions are measured: the champion's where it has any with an outcome
    models: list[str] = []  # of that tier, the newest last
    events: int = 0  # measured
    sessions: int = 0
    net: Net | None = None
    sums: Sums | None = None
    weeks: list[Week] = []


def of(observed: Observed, namespace: Namespace, *, state: str) -> Overview:
    """The overview of a namespace's decisions."""
    counted, subject = observed.counted, observed.subject
    task = subject.strategy.task(subject.settings)
    found = Overview(namespace=str(namespace), state=state, outcome=task.outcome, promises=bool(task.classes))
    if counted.is_empty():
        return found
    known = pl.col("outcome").is_not_null()
    late = counted.filter(~known)["t1_due"].min()
    found.counted, found.matured = len(counted), count(counted.select(known.sum()).item())
    found.in_sample = count(counted.select((known & pl.col("in_sample").fill_null(False)).sum()).item())
    found.first, found.last = day(counted["session"].min()), day(counted["session"].max())
    found.next_due = None if late is None else late.date()  # type: ignore[union-attr]
    measured = {tier: predictions.matured(counted, tier, subject) for tier in predictions.tiers(counted)}
    tier = next((tier for tier, rows in measured.items() if len(rows)), None)
    if tier is None:
        return found
    rows = measured[tier]
    found.tier, found.events, found.sessions = tier, len(rows), rows["session"].n_unique()
    found.models = rows.drop_nulls("model_id")["model_id"].unique(maintain_order=True).to_list()
    sessions = performance.by_session(rows, tier, subject.task(tier))
    found.sums = _sums(sessions)
    figures = performance.of_tier(rows, tier, subject)
    against = pl.col("baseline_is") == Baseline.RULE
    net = figures.filter(pl.col("measure") == Measure.NET, against).row(0, named=True)
    found.net = Net.model_validate(net | {"rule": net["baseline"]})
    weeks = promise.weekly(counted.filter(pl.col("tier") == tier.value), subject, newest=WEEKS)
    own = weeks.filter(pl.col("model_id") == found.models[-1]) if found.models else weeks
    found.weeks = [Week.model_validate(row) for row in own.iter_rows(named=True)]
    return found


def _sums(sessions: pl.DataFrame) -> Sums:
    names = {"decided": "net", "rule": "rule_net", "everything": "all_net"}
    kept = sorted({*range(0, len(sessions), -(-len(sessions) // POINTS)), len(sessions) - 1})
    lines: dict[str, Sequence[float | None]] = {
        name: [number_or_none(value) for value in sessions[column].cum_sum()[kept]] for name, column in names.items()
    }
    return Sums.model_validate({"sessions": sessions["session"][kept].to_list(), **lines})
