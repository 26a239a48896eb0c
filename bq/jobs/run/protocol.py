"""The run protocol: lock, hidden folder, phases, run.json, rename into place, index page.

Whatever stops a run, its record stays: a failure and a cancellation are published by the run itself, a kill by the next
run, from the run.json ("running") that lies in the hidden folder from its first second.
"""

import datetime as dt
import importlib.metadata
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bq.core import files, params, paths, signals
from bq.core.errors import BQError, Locked
from bq.core.log import log, stage
from bq.core.namespace import Namespace
from bq.core.parallel import MEMORY_TARGET, workers
from bq.core.settings import Settings
from bq.jobs.run import leftovers, record, temporary
from bq.jobs.run.memory import Limits, Watch
from bq.workbench import notebooks, report

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
REPORT_SECONDS = 300  # to render the report: also where the run's own time is over
END_SECONDS = 30  # for a notebook, which keeps to the deadline itself, to be saved with the cell it was in


class Cancelled(KeyboardInterrupt):
    """A signal that ends a process arrived: the run is recorded as cancelled, the champion stays."""


@contextmanager
def lock(namespace: Namespace) -> Iterator[None]:
    """Hold the lock of a namespace's runs, what killed runs left cleared up.

    Raises Locked where another process holds it; it is released when this one dies.
    """
    path = paths.home() / "data" / f".{namespace}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            leftovers.sweep(namespace)
            yield
    except Timeout:
        raise Locked(
            f"{namespace}: one run at a time, but another holds {path}. Nothing was changed; wait for it to end."
        ) from None


@contextmanager
def cancellable(run: "Run") -> Iterator[None]:
    """Turn `signals.ENDING` into Cancelled, once and as long as the run can be stopped."""

    def cancel(number: int, _: object) -> None:
        name = signal.Signals(number).name
        if not run.stoppable:
            log.warning("%s: the run is at its end and goes on to it", name)
            return
        run.stoppable = False
        raise Cancelled(name)

    with signals.handled(cancel):
        yield


class Run:
    """A run under way. Everything it writes lies in its hidden folder until `publish`."""

    def __init__(self, settings: Settings, *, job: str) -> None:
        self.settings, self.started = settings, dt.datetime.now(dt.UTC)
        self.run_id = _new_id(self.started, str(settings.namespace) + ("" if job == "retrain" else f"__{job}"))
        self.folder = paths.outputs() / f".{self.run_id}"
        self.stoppable = True  # by a signal; not where a deployment or the record is under way
        self.excess = ""  # which limit it was beyond, and what was found, in words
        self.repeats: dict[str, Any] | None = None  # the attempt that it would only repeat: then nothing of it is kept
        self.limits = Limits.of(settings.run.memory_ceiling_share)
        self.deadline = time.monotonic() + settings.run.run_timeout_seconds
        self.verdict: dict[str, Any] | None = None
        self.info: dict[str, Any] = {
            "run_id": self.run_id,
            "strategy": str(settings.namespace),
            "job": job,
            "status": "done",
            "error": None,
            "started_utc": self.started.isoformat(timespec="seconds"),
            "title": str(settings.namespace),
            "headline": "",
            "source": "",
            "parameters": settings.model_dump(mode="json"),
            "data_hash": "",
            "git": git_state(),
            "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
            "seed": settings.learning.seed,
            "resources": {
                "workers": workers(),
                **settings.run.model_dump(),
                **{f"memory_{name}_mib": value for name, value in self.limits._asdict().items()},
            },
            "health": [],
            "phases": [],
            "warnings": [],
            "changes": [],
            "deployed": [],  # ids of the models of either tier
            "downloads": [],
        }
        self.folder.mkdir(parents=True)
        files.write_text(self.folder / "parameters.yaml", params.to_yaml(settings.model_dump(mode="python")))
        self._note("its start")

    @contextmanager
    def phase(self, name: str, *, stoppable: bool = True, until: float | None = None) -> Iterator[None]:
        """Log, time and measure one phase, and stop the run where it goes beyond a limit in it.

        stoppable : False from where nothing must stop the run any more. until : when it must have ended, on the
        monotonic clock; None for the run's deadline.
        """
        self.stoppable = self.stoppable and stoppable
        self._note(name)
        start = time.perf_counter()
        until = self.deadline if until is None else until
        watch = Watch(above=self.limits.ceiling, until=until, excess=lambda mib: self._beyond(name, mib, until))
        try:
            with stage(name), watch:
                yield
        finally:
            seconds = round(time.perf_counter() - start, 2)
            self.info["phases"].append({"name": name, "seconds": seconds, "peak_rss_mib": watch.mib})

    def _beyond(self, phase: str, mib: int, until: float) -> None:
        """Stop the run as a signal would; where it cannot be stopped any more, say so. A report may only be late."""
        late = time.monotonic() > until
        found = self._late(phase) if late else self._above_ceiling(phase, mib)
        if not (self.stoppable or (late and phase == "report")):
            log.warning("%s", found)
            return
        self.excess, self.stoppable = found, True
        os.kill(os.getpid(), signal.SIGTERM)

    def _late(self, phase: str) -> str:
        if phase == "report":
            return f"a report must be rendered within {REPORT_SECONDS} s, but was not. Try `make report`."
        return (
            f"`run.run_timeout_seconds`: the run must end within {self.settings.run.run_timeout_seconds:,} s, but was "
            f"still in {phase}. Raise it, or try fewer symbols or fewer sessions."
        )

    def _above_ceiling(self, phase: str, mib: int) -> str:
        share, limits = self.settings.run.memory_ceiling_share, self.limits
        return (
            f"`run.memory_ceiling_share`: the run must stay below {share:.0%} of the machine's memory "
            f"({limits.ceiling:,} of {limits.machine:,} MiB), but its processes held {mib:,} MiB in {phase}. "
            "Try BQ_WORKERS=1, fewer symbols, or fewer sessions."
        )

    def notebook(self, name: str) -> None:
        """Execute one of the project's notebooks into the run folder."""
        with self.phase(name, until=self.deadline + END_SECONDS):
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
        """Render, write run.json, move the folder into place, rebuild the index; `latest` moves only for a good run.

        Where the report cannot be rendered the record is published all the same, with that error.
        """
        self.stoppable = False
        self.info["finished_utc"] = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        try:
            with self.phase("report", until=time.monotonic() + REPORT_SECONDS):
                self.render()
        except BaseException as error:
            reason = self.excess or record.sentence(error)
            self.info["error"] = self.info["error"] or f"the report could not be rendered: {reason}"
            if self.excess:
                raise BQError(self.info["error"]) from None
            raise
        finally:
            self._settle()
        return paths.outputs() / self.run_id

    def stopped_by(self, error: BaseException) -> None:
        """Keep why the run did not come to its end."""
        self.info["status"] = "cancelled" if isinstance(error, Cancelled) else "failed"
        self.info["error"] = record.sentence(error)
        self.info["headline"] = f"{self.info['status']}: {self.info['error']}"

    def _note(self, phase: str) -> None:
        """What the record says should the process be killed in this phase."""
        files.write_json(self.folder / "run.json", {**self.info, "status": "running", "during": phase})

    def _settle(self) -> None:
        event = "failed" if self.info["error"] else "deployed" if self.info["deployed"] else self.info["status"]
        try:
            if self.verdict:
                files.write_json(self.folder / "verdict.json", self.verdict)
            record.into_place(self.folder, self.info)
        finally:
            if event in ("failed", "deployed") and self.info["status"] != "cancelled":
                record.tell(event, self.info)


def perform(run: Run, work: Callable[[Run], None]) -> Path:
    """Do the work, publish whatever came of it, and let the failure go on. The folder: absent where `run.repeats`."""
    with cancellable(run), _marked(run):
        try:
            with temporary.of(run.folder):
                work(run)
        except BaseException as error:  # whatever stopped it is recorded, then goes on
            stopped = BQError(run.excess) if run.excess else error
            run.stopped_by(stopped)
            _publish(run, stopped)
            raise
        if run.repeats:
            shutil.rmtree(run.folder)
            return run.folder
        return run.publish()


def _publish(run: Run, error: BaseException) -> None:
    """Publish a run that was stopped; `error` goes on, also where the record cannot be written."""
    try:
        log.error("%s: %s", run.info["status"], run.publish() / "report.html")
    finally:
        raise error


def _new_id(now: dt.datetime, name: str) -> str:
    """Time and name; a later second where a run of this one is there already."""
    while (paths.outputs() / (run_id := f"{now:%Y%m%dT%H%M%SZ}_{name}")).exists():
        now += dt.timedelta(seconds=1)
    return run_id


@contextmanager
def _marked(run: Run) -> Iterator[None]:
    """Processes started in here carry the run's folder and its memory target in their environment."""
    marks = {leftovers.MARK: str(run.folder), MEMORY_TARGET: str(run.limits.target)}
    os.environ.update(marks)
    try:
        yield
    finally:
        for name in marks:
            del os.environ[name]


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
