"""What stays of a run that ended: its folder, the index over all runs, the link `latest`; and who hears of it."""

import datetime as dt
from pathlib import Path

from bq.core import files
from bq.core.errors import BQError
from bq.core.log import log
from bq.core.namespace import Namespace
from bq.jobs import standing
from bq.jobs.run import notify
from bq.runs import folder as names
from bq.runs import read, write
from bq.runs.record import Ledger, RunRecord
from bq.serving import ledger, registry
from bq.workbench import dashboard


def into_place(folder: Path, record: RunRecord) -> None:
    """Write the record, give the folder its name, rebuild the index; `latest` moves only for a good run."""
    final = write.into_place(folder, record)
    write_index()
    if record.good:
        write.move_latest(final)


def was_published(run_id: str) -> bool:
    """Whether a run came to its end with everything that belongs to it; else its work is done again."""
    return any(run.record.good for run in read.every() if run.folder.name == run_id)


def sentence(error: BaseException) -> str:
    """What a record says of an error."""
    if isinstance(error, OSError):
        return files.explain(error)
    return str(error) if isinstance(error, BQError | KeyboardInterrupt) else f"{type(error).__name__}: {error}"


def ledger_of(namespace: Namespace, run_id: str) -> Ledger | None:
    """What the ledger holds at the end of a run; None where the database cannot be asked."""
    try:
        return Ledger(**ledger.held(namespace, run_id)._asdict(), standing=ledger.standing())
    except BQError as error:
        log.warning("the run's record does not say what the ledger holds: %s", error)
        return None


def tell(event: notify.Event, record: RunRecord, *, page: Path | None = None) -> None:
    """Let the user's command hear of a run. page : to look at; None for its report."""
    headline = record.error or record.headline
    notify.send(event, run_id=record.run_id, headline=headline, report=page or names.report(record.run_id))


def write_index() -> None:
    """Rebuild outputs/index.html."""
    found = read.each()
    made = [run for _, run in found if isinstance(run, read.Run)]
    dashboard.write_index(standing.every(made, now=dt.datetime.now(dt.UTC)), registry.undone(), found)
