"""What the gate decided of each run, kept: a verdict holds every session, and the table of runs one figure of it.

A finished run does not change; of one whose verdict has another size or time than when it was read, it is read again.
"""

from collections.abc import Sequence
from pathlib import Path

from bq.core import paths
from bq.core.errors import BadData
from bq.core.records import Facts, Record
from bq.monitoring import kept
from bq.runs import folder as names
from bq.runs.read import Run
from bq.runs.verdict import Decision, Figure


class Judged(Facts):
    """Of one run; without a decision its verdict cannot be read."""

    stamp: tuple[int, int]  # size and time of change of verdict.json
    decision: Decision | None = None
    figure: Figure | None = None


class Known(Record):
    """Those of all runs, by run id."""

    runs: dict[str, Judged] = {}


def of(made: Sequence[Run]) -> dict[str, Judged]:
    """Of each run that a gate judged, by run id."""
    file = paths.home() / "data" / kept.FOLDER / "runs.json"
    before = kept.read(Known, file) or Known()
    found = {}
    for run in made:
        stamp = _stamp(run.folder / names.VERDICT)
        if stamp is not None:
            known = before.runs.get(run.folder.name)
            found[run.folder.name] = known if known and known.stamp == stamp else _read(run, stamp)
    if found != before.runs:
        kept.write(Known(runs=found), file)
    return found


def _stamp(path: Path) -> tuple[int, int] | None:
    """None where there is no such file."""
    try:
        known = path.stat()
    except OSError:
        return None
    return known.st_size, known.st_mtime_ns


def _read(run: Run, stamp: tuple[int, int]) -> Judged:
    try:
        verdict = run.verdict
    except (BadData, OSError):
        return Judged(stamp=stamp)
    return Judged(stamp=stamp, decision=verdict.decision, figure=verdict.figure) if verdict else Judged(stamp=stamp)
