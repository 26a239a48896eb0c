"""The order of runs: by a sequence in their records, as a clock may be set back and a database may be lost."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock

from bq.core import paths
from bq.core.errors import BQError
from bq.core.log import log
from bq.runs import read
from bq.serving import ledger

SLACK = dt.timedelta(minutes=1)  # clocks are adjusted by less than that all the time
WAIT_SECONDS = 60


@contextmanager
def next_one() -> Iterator[int]:
    """The number of a run that begins, higher than that of any before it; in here its record is written.

    Runs of two namespaces may begin at once: one waits for the other.
    """
    with FileLock(paths.home() / "data" / ".sequence.lock", timeout=WAIT_SECONDS):
        attempts = [row["number"] for row in _attempts()]
        yield max([record.sequence for record in read.begun()] + attempts, default=0) + 1


def clock_went_back(now: dt.datetime, *, also: dt.datetime | None = None) -> str:
    """A sentence, also in the log, where the newest record is from a time that has not come yet; empty else.

    also : a time of a record that is no run.
    """
    moments = [moment for record in read.begun() for moment in (record.started_utc, record.finished_utc)]
    moments += [*(row["finished_utc"] for row in _attempts()), also]
    newest = max((moment for moment in moments if moment), default=now)
    if newest - now <= SLACK:
        return ""
    said = (
        f"the clock went back: it is {now:%Y-%m-%d %H:%M} UTC, but the newest record is of {newest:%Y-%m-%d %H:%M} "
        "UTC. Runs are in their order all the same; set the clock right"
    )
    log.warning("%s", said)
    return said


def _attempts() -> list[dict]:
    try:
        return ledger.every_attempt()
    except BQError:
        return []  # whoever needs the database says so
