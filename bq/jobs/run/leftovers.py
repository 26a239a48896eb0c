"""What killed runs leave behind: processes, hidden folders, temporary files, also those outside the home."""

import shutil
import time
from contextlib import suppress
from pathlib import Path

import psutil

from bq.core import files, paths
from bq.core.errors import BadData
from bq.core.log import log
from bq.core.namespace import Namespace
from bq.jobs.run import publish, temporary
from bq.runs import folder as names
from bq.runs import read, write
from bq.runs.record import Status
from bq.serving import registry
from bq.workbench import report

TRACKER_SECONDS = 5
KILL_SECONDS = 10


def sweep(namespace: Namespace) -> None:
    """End, record and clear up what killed runs left behind. Only called while holding the lock."""
    for folder in names.under_way(namespace):
        _end_processes(folder)
        temporary.remove(folder)
        _bury(folder)
    write.remove_links()
    for name in (namespace, namespace.second, namespace.weights):
        registry.clean(name)
    for folder in (paths.outputs(), *paths.outputs().glob("scans/"), *paths.home().glob("data/events/*/*/")):
        files.clean(folder)


def _end_processes(folder: Path) -> None:
    """Kill what still runs for a run that is dead: known by its environment, so that no reused pid is ever meant.

    The trackers that loky leaves beside its workers free their shared memory and end with them: killed only if not.
    """
    workers: list[psutil.Process] = []
    trackers: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(names.MARK) == str(folder):
                log.warning("ending process %d, left over by %s", process.pid, folder.name)
                tracks = any("resource_tracker" in word for word in process.cmdline())
                (trackers if tracks else workers).append(process)
        except psutil.Error:
            continue  # another user's, or it ended in between
    _kill(workers)
    _kill(wait(trackers, TRACKER_SECONDS))


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    wait(processes, KILL_SECONDS)


def wait(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait for processes to end, as long as that; those that have not. A zombie has, whether or not it is reaped."""
    until = time.monotonic() + seconds
    while (left := [process for process in processes if _lives(process)]) and time.monotonic() < until:
        time.sleep(0.02)
    return left


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _bury(folder: Path) -> None:
    """Publish what a killed run left, with the status `killed`; without a record it had not begun."""
    try:
        record = read.read(folder).record
    except BadData:
        log.warning("removing the leftover of a run that was killed: %s", folder.name)
        shutil.rmtree(folder, ignore_errors=True)
        return
    if record.status != Status.RUNNING:  # it had come to its end, all but the name of its folder
        publish.into_place(folder, record)
        return
    record.error = f"its process ended without a message during {record.during}: it was killed, or the machine stopped"
    record.status, record.headline = Status.KILLED, f"killed: {record.error}"
    log.warning("%s: %s", record.run_id, record.headline)
    try:
        report.render(names.notebooks(folder), folder / names.REPORT, run=record, verdict=None)
    finally:
        publish.into_place(folder, record)
    publish.tell("killed", record)
