"""What the dashboard shows and no table holds, kept in data/dashboard: a few small files a namespace.

Every file may be lost or damaged: it is made again, by the next page or by the next job that has what it is made of.
"""

import datetime as dt
from pathlib import Path
from typing import TypeVar

from bq.core import files, paths
from bq.core.errors import BadData
from bq.core.log import log
from bq.core.namespace import Namespace
from bq.core.records import Moment, Record
from bq.runs.record import Trigger

FOLDER = "dashboard"  # in data/
DECISIONS, DRIFT, TRIGGERS = "decisions", "drift", "triggers"  # overview.Overview, heat.Heat, Distances
T = TypeVar("T", bound=Record)


class Distances(Record):
    """Every trigger of a retrain with its distance, as it was found at a time: by a retrain, also one without work."""

    at_utc: Moment
    triggers: list[Trigger]


def path(namespace: Namespace, name: str) -> Path:
    """A file of a namespace."""
    return paths.home() / "data" / FOLDER / f"{namespace}.{name}.json"


def read(kind: type[T], file: Path) -> T | None:
    """What a file holds; None where it is not there, or damaged, which is logged."""
    try:
        return kind.read(file, what=f"{file}:", remedy="It is made again.")
    except FileNotFoundError:
        return None
    except (BadData, OSError) as error:
        log.warning("%s", error)
        return None


def write(record: Record, file: Path) -> None:
    """Write a file atomically; where it cannot be written, a warning says so: no job fails by what is only shown."""
    try:
        record.write(file)
    except OSError as error:
        log.warning("%s", files.explain(error))


def enter(namespace: Namespace, triggers: list[Trigger]) -> None:
    """Keep the distances as they are now."""
    write(Distances(at_utc=dt.datetime.now(dt.UTC), triggers=triggers), path(namespace, TRIGGERS))


def distances(namespace: Namespace) -> Distances | None:
    """Those that the newest retrain found."""
    return read(Distances, path(namespace, TRIGGERS))
