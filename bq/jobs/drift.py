"""`make check-drift`: the checks of drift of what decides, recorded; an alarm opens an alert and exits 10."""

from collections.abc import Sequence

from bq.core.namespace import Namespace
from bq.jobs.request import Request
from bq.jobs.run import protocol, publish
from bq.market import MarketData
from bq.monitoring import checks, drift, heat, observed, performance_checks
from bq.monitoring.checks import Check, Severity, What
from bq.monitoring.drift import Monitored
from bq.runs import folder
from bq.strategies import store
from bq.workbench import drifted, screen

ALARM = 10  # exit code
GRAVE = (What.ERROR_CUSUM,)  # a confirmed harm, for which `make retrain` trains again
ALERT = "drift."  # before the kind of check, in the kind of an alert


def check(request: Request) -> int:
    """Monitor both tiers, record one check a kind, model and day, and say what was found; ALARM where one is.

    Nothing is written but checks and alerts; killed or run again on the same day it leaves the same.
    """
    with protocol.lock(request.settings.namespace):
        found = monitor(request, store.market_data(request.settings))
        performed = perform(request)
        publish.write_index()
    told = [*drifted.lines(request.settings.namespace, found), *drifted.performance(performed)]
    screen.show("\n".join([*told, screen.where("dashboard", folder.index())]))
    return ALARM if any(one.alarm for one in (*made(found), *performed)) else 0


def monitor(request: Request, market: MarketData) -> list[Monitored]:
    """Monitor and record; also what `make cycle` and `make retrain` call. Its namespace's lock must be held."""
    found = drift.check(request.strategy, request.settings, market)
    record(request.settings.namespace, made(found))
    heat.keep(request.strategy, request.settings, market)
    return found


def perform(request: Request) -> list[Check]:
    """The checks of performance, recorded: a broken promise is an alarm. The namespace's lock must be held."""
    found = performance_checks.of(observed.of(request.strategy, request.settings))
    record(request.settings.namespace, found, kinds=performance_checks.ALARMS)
    return found


def made(found: Sequence[Monitored]) -> list[Check]:
    """The checks of all tiers."""
    return [check for one in found for check in one.checks]


def record(namespace: Namespace, made: Sequence[Check], *, kinds: Sequence[What] = drift.KINDS) -> None:
    """Enter the checks, open an alert for each kind with an alarm, and close those whose alarm is over.

    Where a kind is not checked, its alert was of a model that no longer decides. Checks first: an alert names those
    that it is of.
    """
    numbers = dict(zip(map(id, made), checks.enter(made), strict=True))
    for what in kinds:
        raised = [check for check in made if check.what == what and check.alarm]
        if not raised:
            checks.close(namespace, kind=f"{ALERT}{what}")
            continue
        checks.open_alert(
            namespace,
            kind=f"{ALERT}{what}",
            severity=Severity.GRAVE if what in GRAVE else Severity.WARNING,
            statement="; ".join(map(drifted.statement, raised)),
            check_ids=[numbers[id(check)] for check in raised],
        )


def silence(namespace: Namespace) -> None:
    """Close the alerts of models that no longer decide: none is deployed."""
    record(namespace, [], kinds=(*drift.KINDS, *performance_checks.ALARMS))
