"""What killed runs leave behind: processes, hidden folders, temporary files, also those outside the home."""

import shutil
from contextlib import suppress
from pathlib import Path

import psutil

from bq.core import files, paths
from bq.core.log import log
from bq.core.namespace import Namespace
from bq.jobs.run import record, temporary
from bq.serving import registry
from bq.workbench import report

MARK = "BQ_RUN_FOLDER"  # in the environment of every process that a run starts
TRACKER_SECONDS = 5


def sweep(namespace: Namespace) -> None:
    """End, record and clear up what killed runs left behind. Only called while holding the lock."""
    for folder in [*paths.outputs().glob(f".*Z_{namespace}"), *paths.outputs().glob(f".*Z_{namespace}__*")]:
        _end_processes(folder)
        temporary.remove(folder)
        _bury(folder)
    for name in (namespace, namespace.second):
        registry.clean(name)
    for folder in (paths.outputs(), *paths.outputs().glob("scans/"), *paths.home().glob("data/events/*/*/")):
        files.clean(folder)


def _end_processes(folder: Path) -> None:
    """Kill what still runs for a run that is dead: known by its environment, so that no reused pid is ever meant.

    The trackers that loky leaves beside its workers free their shared memory and end with them: killed only if not.
    """
    workers, trackers = [], []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(folder):
                log.warning("ending process %d, left over by %s", process.pid, folder.name)
                tracks = any("resource_tracker" in word for word in process.cmdline())
                (trackers if tracks else workers).append(process)
        except psutil.Error:
            continue  # another user's, or it ended in between
    _kill(workers)
    _, left = psutil.wait_procs(trackers, timeout=TRACKER_SECONDS)
    _kill(left)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def _bury(folder: Path) -> None:
    """Publish what a killed run left, with the status `killed`; without a record it had not begun."""
    try:
        info = files.read_json(folder / "run.json")
        if info["status"] != "running":  # it had come to its end, all but the name of its folder
            record.into_place(folder, info)
            return
        text = f"its process ended without a word during {info['during']}: it was killed, or the power failed"
        info |= {"status": "killed", "error": text, "headline": f"killed: {text}"}
    except (OSError, ValueError, LookupError, TypeError):
        log.warning("removing the leftover of a run that was killed: %s", folder.name)
        shutil.rmtree(folder, ignore_errors=True)
        return
    log.warning("%s: %s", info["run_id"], info["headline"])
    try:
        report.render(sorted(folder.glob("[0-9]*.ipynb")), folder / "report.html", run=info, verdict=None)
    finally:
        record.into_place(folder, info)
    record.tell("killed", info)
