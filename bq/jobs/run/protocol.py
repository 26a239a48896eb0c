"""The run protocol: lock, hidden folder, phases, run.json, rename into place, index page.

Whatever stops a run, its record stays: a failure and a cancellation are published by the run itself, a kill by the next
run, from the run.json ("running") that lies in the hidden folder from its first second.
"""

import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bq.core import files, params, paths, signals
from bq.core.errors import BadParameters, BQError, Locked
from bq.core.log import log, stage
from bq.core.namespace import Namespace
from bq.core.numerals import percent
from bq.core.parallel import MEMORY_TARGET, workers
from bq.core.settings import Settings
from bq.core.versions import packages
from bq.jobs.run import leftovers, order, publish, temporary
from bq.jobs.run.memory import Limits, Watch, give_back
from bq.runs import folder as names
from bq.runs import write
from bq.runs.record import Git, Job, Phase, RunRecord, Status
from bq.runs.verdict import Verdict
from bq.workbench import notebooks, page, report

REPORT_SECONDS = 300  # to render the report: also where the run's own time is over
AGAIN_SECONDS = 0.1  # until a signal that was dropped is sent again
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
    """Turn `signals.ENDING` into Cancelled, once and as long as the run can be stopped.

    Where nothing can be raised (a callback of a C library, a destructor) Python drops it: then the signal comes again.
    """

    def cancel(number: int, _: object) -> None:
        name = signal.Signals(number).name
        if not run.stoppable:
            log.warning("%s: ignored, the run is already finishing", name)
            return
        run.stoppable = False
        raise Cancelled(name)

    def dropped(ignored: Any) -> None:
        if not isinstance(ignored.exc_value, Cancelled):
            before(ignored)
            return
        run.stoppable = True
        again = signal.Signals[str(ignored.exc_value)]
        threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), again)).start()

    before, sys.unraisablehook = sys.unraisablehook, dropped
    try:
        with signals.handled(cancel):
            yield
    finally:
        sys.unraisablehook = before


class Run:
    """A run under way. Everything it writes lies in its hidden folder until `publish`."""

    def __init__(self, settings: Settings, *, job: Job) -> None:
        self.settings, self.started = settings, dt.datetime.now(dt.UTC)
        self.run_id = _new_id(self.started, settings.namespace, job)
        self.folder = names.hidden(self.run_id)
        self.stoppable = True  # by a signal; not where a deployment or the record is under way
        self.excess = ""  # which limit it was beyond, and what was found, in words
        self.idle = False  # whether there was nothing to do: then nothing of it is kept
        self.limits = Limits.of(settings.run.memory_ceiling_share)
        self.deadline = time.monotonic() + settings.run.run_timeout_seconds
        self.verdict: Verdict | None = None
        self.page: list[tuple[str, list[Any]]] | None = None  # the report of a run without notebooks
        self.record = RunRecord(
            run_id=self.run_id,
            namespace=str(settings.namespace),
            job=job,
            status=Status.DONE,
            error=None,
            started_utc=self.started.replace(microsecond=0),
            warnings=[said] if (said := order.clock_went_back(self.started)) else [],
            title=str(settings.namespace),
            parameters=settings.model_dump(mode="json"),
            git=git_state(),
            packages=packages(),
            seed=settings.learning.seed,
            resources={
                "workers": workers(),
                **settings.run.model_dump(exclude={"expected_every_days"}),
                **{f"memory_{name}_mib": value for name, value in self.limits._asdict().items()},
            },
        )
        self.folder.mkdir(parents=True)
        files.write_text(self.folder / names.PARAMETERS, params.to_yaml(settings.model_dump(mode="python")))
        with order.next_one() as self.record.sequence:
            write.note(self.folder, self.record, during="its start")

    @contextmanager
    def phase(self, name: str, *, stoppable: bool = True, until: float | None = None) -> Iterator[None]:
        """Log, time and measure one phase, and stop the run where it goes beyond a limit in it.

        stoppable : False from where nothing must stop the run any more. until : when it must have ended, on the
        monotonic clock; None for the run's deadline.
        """
        self.stoppable = self.stoppable and stoppable
        write.note(self.folder, self.record, during=name)
        give_back()  # what the phase before has freed
        start = time.perf_counter()
        until = self.deadline if until is None else until
        watch = Watch(above=self.limits.ceiling, until=until, excess=lambda mib: self._beyond(name, mib, until))
        try:
            with stage(name), watch:
                yield
        finally:
            seconds = round(time.perf_counter() - start, 2)
            self.record.phases.append(Phase(name=name, seconds=seconds, peak_rss_mib=watch.mib))

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
            f"`run.memory_ceiling_share`: the run must stay below {percent(share)} of the machine's memory "
            f"({limits.ceiling:,} of {limits.machine:,} MiB), but its processes held {mib:,} MiB in {phase}. "
            "Try BQ_WORKERS=1, fewer symbols, or fewer sessions."
        )

    def notebook(self, name: str, **parameters: str) -> None:
        """Execute one of the project's notebooks into the run folder. parameters : further ones of it."""
        with self.phase(name, until=self.deadline + END_SECONDS):
            notebooks.execute(
                paths.notebooks() / f"{name}.ipynb",
                self.folder / f"{name}.ipynb",
                parameters={
                    "strategy": self.settings.strategy,
                    "params": str(self.folder / names.PARAMETERS),
                    "run_dir": str(self.folder),
                    **parameters,
                },
                run_dir=self.folder,
                cell_timeout_seconds=self.settings.run.cell_timeout_seconds,
                deadline_seconds=max(self.deadline - time.monotonic(), 1.0),
            )

    def render(self) -> None:
        """Write report.html from the notebooks executed so far, or from the page that the job made."""
        if self.page is not None:
            page.write(
                self.folder / names.REPORT,
                title=self.record.title,
                source=self.record.source or "real",
                bars=self.settings.market.source,
                parts=self.page,
            )
            return
        executed = names.notebooks(self.folder)
        report.render(executed, self.folder / names.REPORT, run=self.record, verdict=self.verdict)

    def publish(self) -> Path:
        """Render, write run.json, move the folder into place, rebuild the index; `latest` moves only for a good run.

        Where the report cannot be rendered the record is published all the same, with that error.
        """
        self.stoppable = False
        self.record.ledger = publish.ledger_of(self.settings.namespace, self.record.run_id)
        self.record.finished_utc = dt.datetime.now(dt.UTC).replace(microsecond=0)
        try:
            with self.phase("report", until=time.monotonic() + REPORT_SECONDS):
                self.render()
        except BaseException as error:
            reason = self.excess or publish.sentence(error)
            self.record.error = self.record.error or f"the report could not be rendered: {reason}"
            if self.excess:
                raise BQError(self.record.error) from None
            raise
        finally:
            self._settle()
        return names.final(self.run_id)

    def stopped_by(self, error: BaseException) -> None:
        """Keep why the run did not come to its end."""
        self.record.status = Status.CANCELLED if isinstance(error, Cancelled) else Status.FAILED
        self.record.error = publish.sentence(error)
        self.record.headline = f"{self.record.status}: {self.record.error}"

    def _settle(self) -> None:
        try:
            if self.verdict:
                write.verdict(self.folder, self.verdict)
            publish.into_place(self.folder, self.record)
        finally:
            if self.record.status != Status.CANCELLED:
                if self.record.error:
                    publish.tell("failed", self.record)
                elif self.record.deployed or self.record.status == Status.DEPLOYED:
                    publish.tell("deployed", self.record)


def perform(run: Run, work: Callable[[Run], None]) -> Path:
    """Do the work, publish whatever came of it, and let the failure go on. The folder: absent where `run.idle`.

    A request that is refused while its data is read has begun nothing and leaves no run behind.
    """
    with cancellable(run), _marked(run):
        try:
            with temporary.of(run.folder):
                work(run)
        except BaseException as error:  # whatever stopped it is recorded, then goes on
            stopped = BQError(run.excess) if run.excess else error
            run.stopped_by(stopped)
            if _refused(run, stopped):
                shutil.rmtree(run.folder)
                publish.tell("failed", run.record, page=names.index())
            else:
                _publish(run, stopped)
            raise
        if run.idle:
            shutil.rmtree(run.folder)
            return run.folder
        return run.publish()


def _refused(run: Run, error: BaseException) -> bool:
    """Whether the request is at fault, found in the first phase: a symbol that the source does not have, say."""
    return isinstance(error, BadParameters) and len(run.record.phases) <= 1


def _publish(run: Run, error: BaseException) -> None:
    """Publish a run that was stopped; `error` goes on, also where the record cannot be written."""
    try:
        log.error("%s: %s", run.record.status, run.publish() / names.REPORT)
    finally:
        raise error


def _new_id(now: dt.datetime, namespace: Namespace, job: Job) -> str:
    """Time and name; a later second where a run of this one is there already."""
    while names.final(run_id := names.name(f"{now:%Y%m%dT%H%M%SZ}", namespace, job)).exists():
        now += dt.timedelta(seconds=1)
    return run_id


@contextmanager
def _marked(run: Run) -> Iterator[None]:
    """Processes started in here carry the run's folder and its memory target in their environment."""
    marks = {names.MARK: str(run.folder), MEMORY_TARGET: str(run.limits.target)}
    os.environ.update(marks)
    try:
        yield
    finally:
        for name in marks:
            del os.environ[name]


def git_state() -> Git:
    """Commit and whether the checkout differs from it; both None outside a git checkout."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=paths.CHECKOUT, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    changed = git("status", "--porcelain")
    return Git(sha=git("rev-parse", "HEAD"), dirty=None if changed is None else bool(changed))
