"""Whether the runs of a namespace come as often as they are expected to."""

from collections.abc import Sequence

from bq.core.namespace import Namespace
from bq.core.settings import Settings
from bq.monitoring import kept
from bq.runs.read import Run
from bq.runs.record import RunRecord
from bq.runs.schedule import Schedule


def of(namespace: Namespace, made: Sequence[Run], *, settings: Settings | None = None) -> Schedule:
    """The newest run that did not fail, or retrain that found nothing to do, and how often one is expected.

    made : all runs, newest first. settings : by which it is expected; None for those of the namespace's newest run.
    """
    own = [run.record for run in made if run.record.namespace == str(namespace)]
    found = kept.distances(namespace)
    times = [one.finished_utc or one.started_utc for one in own if one.good]
    known = [time for time in [*times, found.at_utc if found else None] if time is not None]
    expected = settings.run.expected_every_days if settings else _expected(own)
    return Schedule(max(known, default=None), expected)


def _expected(own: Sequence[RunRecord]) -> int | None:
    given = own[0].parameters.get("run", {}).get("expected_every_days") if own else None
    return given if isinstance(given, int) else None
