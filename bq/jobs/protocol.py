"""The run protocol: lock, hidden folder, phases, run.json, rename into place, index page."""

import datetime as dt
import importlib.metadata
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from bq.core import files, params, paths
from bq.core.errors import BQError, Locked
from bq.core.log import log, stage
from bq.core.settings import Settings
from bq.serving import registry
from bq.workbench import dashboard, notebooks, report

PACKAGES = (
    "arch",
    "lightgbm",
    "numpy",
    "onnx",
    "onnxmltools",
    "onnxruntime",
    "polars",
    "scikit-learn",
    "scipy",
    "skl2onnx",
    "statsmodels",
)
SAMPLE_SECONDS = 0.2


class Cancelled(KeyboardInterrupt):
    """SIGTERM or SIGINT arrived: the run is recorded as cancelled, the champion stays."""


@contextmanager
def lock(shelf: str) -> Iterator[None]:
    """Hold the lock of a shelf's runs. Raises Locked where another process holds it; released when this one dies."""
    path = paths.home() / "data" / f".{shelf}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout:
        raise Locked(
            f"{shelf}: one run at a time, but another holds {path}. Nothing was changed; wait for it to end."
        ) from None


@contextmanager
def cancellable() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into Cancelled."""

    def cancel(number: int, _: object) -> None:
        raise Cancelled(signal.Signals(number).name)

    before = {number: signal.signal(number, cancel) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Run:
    """A run under way. Everything it writes lies in its hidden folder until `publish`."""

    def __init__(self, settings: Settings, *, job: str) -> None:
        self.settings, self.started = settings, dt.datetime.now(dt.UTC)
        self.run_id = f"{self.started:%Y%m%dT%H%M%SZ}_{settings.shelf}" + ("" if job == "retrain" else f"_{job}")
        self.folder = paths.outputs() / f".{self.run_id}"
        self.deadline = time.monotonic() + settings.run.run_timeout_seconds
        self.verdict: dict[str, Any] | None = None
        self.info: dict[str, Any] = {
            "run_id": self.run_id,
            "strategy": settings.shelf,
            "job": job,
            "status": "done",
            "error": None,
            "started_utc": self.started.isoformat(timespec="seconds"),
            "title": settings.shelf,
            "headline": "",
            "source": "",
            "parameters": settings.model_dump(mode="json"),
            "data_hash": "",
            "git": git_state(),
            "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
            "seed": settings.learning.seed,
            "phases": [],
            "warnings": [],
            "changes": [],
            "downloads": [],
        }
        self.folder.mkdir(parents=True)
        files.write_text(self.folder / "parameters.yaml", params.to_yaml(settings.model_dump(mode="python")))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Log, time and measure one phase."""
        start, peak = time.perf_counter(), _PeakMemory()
        with stage(name), peak:
            yield
        seconds = round(time.perf_counter() - start, 2)
        self.info["phases"].append({"name": name, "seconds": seconds, "peak_rss_mib": peak.mib})

    def notebook(self, name: str) -> None:
        """Execute one of the project's notebooks into the run folder."""
        with self.phase(name):
            notebooks.execute(
                paths.notebooks() / f"{name}.ipynb",
                self.folder / f"{name}.ipynb",
                parameters={
                    "strategy": self.settings.strategy,
                    "params": str(self.folder / "parameters.yaml"),
                    "run_dir": str(self.folder),
                },
                run_dir=self.folder,
                cell_timeout_seconds=self.settings.run.cell_timeout_seconds,
                deadline_seconds=max(self.deadline - time.monotonic(), 1.0),
            )

    def render(self) -> None:
        """Write report.html from the notebooks executed so far."""
        executed = sorted(self.folder.glob("[0-9]*.ipynb"))
        report.render(executed, self.folder / "report.html", run=self.info, verdict=self.verdict)

    def publish(self) -> Path:
        """Write run.json, move the folder into place, rebuild the index; `latest` moves only when the run is good."""
        self.info["finished_utc"] = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        with self.phase("report"):
            self.render()
        files.write_json(self.folder / "run.json", self.info)
        if self.verdict:
            files.write_json(self.folder / "verdict.json", self.verdict)
        files.sync(self.folder)
        final = paths.outputs() / self.run_id
        self.folder.rename(final)
        files.sync(paths.outputs())
        write_index()
        if self.info["status"] in ("deployed", "kept", "done"):
            _move_latest(final)
        return final


def perform(run: Run, work: Callable[[Run], None]) -> Path:
    """Do the work, publish whatever came of it, and let the failure go on."""
    try:
        with cancellable():
            work(run)
    except BaseException as error:  # whatever stopped it is recorded, then goes on
        run.info["status"] = "cancelled" if isinstance(error, Cancelled) else "failed"
        run.info["error"] = str(error) if isinstance(error, BQError | Cancelled) else f"{type(error).__name__}: {error}"
        run.info["headline"] = f"{run.info['status']}: {run.info['error']}"
        log.error("%s: %s", run.info["status"], run.publish() / "report.html")
        raise
    return run.publish()


def sweep(shelf: str) -> None:
    """Remove what a killed run left behind. Only called while holding the lock."""
    for leftover in [*paths.outputs().glob(f".*Z_{shelf}"), *paths.outputs().glob(f".*Z_{shelf}_*")]:
        log.warning("removing the leftover of a run that was killed: %s", leftover.name)
        shutil.rmtree(leftover, ignore_errors=True)
    registry.clean(shelf)


def write_index() -> None:
    """Rebuild outputs/index.html."""
    champions = []
    for folder in sorted((paths.home() / "models").glob("*/champion.json")):
        found = files.read_json(folder)
        champions.append(
            {
                "strategy": folder.parent.name,
                "model_id": found["model_id"],
                "since": found["since_utc"],
                "metrics": found["reason"],
            }
        )
    dashboard.write_index(paths.outputs(), champions)


def git_state() -> dict[str, Any]:
    """Commit and whether the checkout differs from it; both None outside a git checkout."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=paths.CHECKOUT, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    changed = git("status", "--porcelain")
    return {"sha": git("rev-parse", "HEAD"), "dirty": None if changed is None else bool(changed)}


def _move_latest(folder: Path) -> None:
    link = paths.outputs() / "latest"
    temporary = paths.outputs() / ".latest.tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    temporary.replace(link)


class _PeakMemory:
    """Highest resident memory of this process and its children together, sampled."""

    def __enter__(self) -> "_PeakMemory":
        self.mib, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process(os.getpid())
        while True:
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue  # it ended in between
            self.mib = max(self.mib, total // 2**20)
            if self._stop.wait(SAMPLE_SECONDS):
                return
