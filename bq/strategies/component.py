"""One thing that a gate asks of a model: facts alone. Words are made of them where a verdict is shown."""

import datetime as dt
from enum import StrEnum
from typing import Any

from pydantic import ConfigDict

from bq.core.namespace import Tier
from bq.core.records import Facts, Number, Numbers
from bq.stats.bootstrap import Interval


class Kind(StrEnum):
    """What is asked."""

    SAMPLE_TIME = "sample_time"
    SAMPLE_EVENTS = "sample_events"
    UPLIFT = "uplift"  # over the rule score
    ALPHA = "alpha"  # what is earned beyond what the rule score explains
    OVER_ALL = "over_all"  # what is earned beyond what taking every event explains
    OVER_LONG = "over_long"  # what is earned beyond what being long explains
    NET = "net"  # what is earned, net of costs
    NET_OF_TRADES = "net_of_trades"  # the same of the trades above a threshold
    CHANGED_RECIPE = "changed_recipe"  # uplift over the recipe of what is deployed
    ROLLED_BACK = "rolled_back"  # that a way of training that was rolled back is wanted again
    DRAWDOWN = "drawdown"
    DEFLATED_SHARPE = "deflated_sharpe"
    DEFLATED_UPLIFT = "deflated_uplift"  # of what is earned beyond the rule score and beyond all events
    ARTEFACT = "artefact"  # how well the newest window is ordered
    CALIBRATION = "calibration"
    PARITY = "parity"
    SAMPLE_MONTHS = "sample_months"
    RANK_IC = "rank_ic"
    ROLLING_RANK_IC = "rolling_rank_ic"
    INFORMATION_RATIO = "information_ratio"
    SHARPE = "sharpe"
    PORTFOLIO_DRAWDOWN = "portfolio_drawdown"
    OVERFITTING = "overfitting"
    LEAKS = "leaks"  # features that know what came after
    OWN_FILES = "own_files"  # the user's own features stand in files


EARNINGS = (  # what a model is worth
    Kind.UPLIFT,
    Kind.ALPHA,
    Kind.OVER_ALL,
    Kind.OVER_LONG,
    Kind.NET,
    Kind.NET_OF_TRADES,
    Kind.CHANGED_RECIPE,
    Kind.ARTEFACT,
)


BEYOND = {  # what an alpha is over
    Kind.ALPHA: "the rule score",
    Kind.OVER_ALL: "all events",
    Kind.OVER_LONG: "being long",
}


class Accusation(StrEnum):
    """What a feature is accused of: each keeps the champion."""

    LATER_BARS = "later_bars"
    UNIT = "unit"  # of price: splits and dividends to come
    SERVED = "served"  # with another value than trained on, or not at all
    LABEL = "label"
    GROUP = "group"  # outcomes of the session's others


class Note(StrEnum):
    """What is worth knowing of a feature, and no leak."""

    CONSTANT = "constant"  # in a training window
    NOT_OF_BARS = "not_of_bars"  # truncation says nothing of it


class Missing(Facts):
    """How far it is from holding; what is None is not known, or would not help."""

    model_config = ConfigDict(frozen=True)

    by: Number = None  # by which the figure must move
    months: Number = None  # more of the same
    sessions: Number = None
    events: Number = None
    identical: bool = False  # model and baseline made identical picks


class Component(Facts):
    """One thing that must hold before a model is deployed. Figures are in the unit of their kind, shares as shares."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    holds: bool | None  # None: inconclusive, which deploys nothing
    of: str = ""  # what the figure is of, where the kind alone does not say it
    value: Number = None
    low: Number = None  # of the interval
    high: Number = None
    threshold: Number = None  # which `low`, or without one the value, is held against
    baseline: Number = None  # the same figure of what it is compared with
    against: Tier | None = None  # what that is
    sessions: int | None = None
    events: int | None = None
    blocks: Number = None
    least_blocks: int | None = None
    alpha: Number = None  # one-sided significance level of the bound that decides
    bound: Number = None  # that bound, where the level of `low` is another
    first: dt.date | None = None  # of the window that it was seen on
    last: dt.date | None = None
    more: Numbers = {}  # figures of its kind alone
    reason: str = ""  # why there is no figure
    missing: Missing | None = None  # where it does not hold

    @staticmethod
    def asked(kind: Kind, holds: bool | None, missing: Missing | None = None, **facts: Any) -> "Component":
        """A component; what is missing is dropped where it holds."""
        state = None if holds is None else bool(holds)
        return Component(kind=kind, holds=state, missing=None if state else missing or Missing(), **facts)


def of_interval(found: Interval) -> dict[str, Any]:
    """The figures of an interval, by the names of a component."""
    return {"value": found.mean, "low": found.low, "high": found.high, "sessions": found.n, "blocks": found.blocks}
