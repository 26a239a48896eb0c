"""What a page over all namespaces shows of one: facts, put together by `bq.jobs.standing`."""

import datetime as dt
from typing import NamedTuple

from bq.core.namespace import Namespace, Tier
from bq.monitoring.checks import Alert
from bq.monitoring.heat import Heat
from bq.monitoring.kept import Distances
from bq.monitoring.overview import Overview
from bq.runs.schedule import Schedule
from bq.runs.verdict import Figure
from bq.serving.model_records import Pointer
from bq.serving.registry import Decider


class Evidence(NamedTuple):
    """The figure that a gate judged."""

    run_id: str
    source: str  # of the outcomes
    figure: Figure
    report: bool  # whether the run has one


class Deployed(NamedTuple):
    """The model that decides."""

    pointer: Pointer
    trained_through: dt.date
    source: str  # of the outcomes that it was trained on
    evidence: Evidence | None  # of the run that made it; None where that is gone


class Standing(NamedTuple):
    """A namespace as it stands now."""

    namespace: Namespace
    now: dt.datetime
    schedule: Schedule
    decider: Decider = Decider(Tier.RULE)
    deployed: Deployed | None = None  # None: the rule score decides
    silent: str = ""  # id of a champion that is deployed and cannot answer
    source: str = ""  # of the outcomes of its newest run
    newest: Evidence | None = None  # of the newest run that a gate judged
    alerts: tuple[Alert, ...] = ()  # open ones
    overview: Overview | None = None
    fault: str = ""  # why there is no overview
    heat: Heat | None = None  # of the deployed model
    distances: Distances | None = None  # of the newest retrain
    trading: str = ""  # address of the page of what it trades; empty where there is none
