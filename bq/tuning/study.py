"""One Optuna study: seeded trial by trial, written as it runs, and resumed where it was interrupted.

A kept study lies in a journal file, data/tuning/<name>.log, which one process writes at a time. Where
`BQ_DATABASE_URL` is PostgreSQL it lies there, and several machines may run trials of it at the same time.
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import sqlalchemy as sa
from filelock import FileLock
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from bq.core import db, files, paths
from bq.core.errors import BadData, BQError
from bq.core.log import log, progress
from bq.core.numerals import decimal
from bq.core.scalars import number
from bq.core.secrets import redact

Ranges = dict[str, BaseDistribution]
Values = dict[str, Any]  # of one trial, by dotted name of the parameter

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
HEARTBEAT_SECONDS = 15  # of a running trial in PostgreSQL; after four times as long without one the trial is run again
RETRIES = 3
SCHEMA = "optuna"  # in PostgreSQL: Optuna and bq have tables of the same names
LINES = 5  # of progress in a log


class Infeasible(optuna.TrialPruned):
    """A trial that cannot be chosen; the message gives the reason."""


class Study(NamedTuple):
    """A running study. Made by `begin`."""

    working: optuna.Study
    journal: optuna.Study | None  # where each trial of `working` is written once it is finished
    ranges: Ranges
    seed: int

    @property
    def trials(self) -> list[FrozenTrial]:
        """The finished trials in order: feasible (complete) or infeasible (pruned)."""
        return self.working.get_trials(deepcopy=False, states=FINISHED)


def begin(name: str | None, ranges: Ranges, *, seed: int, first: Values) -> Study:
    """Begin a study, or resume the one of that name.

    name : under which it is kept; None: in memory alone. first : values that a new study tries first, if they lie
    within the ranges. A name stands for one set of ranges and one seed: whatever changes them must change the name.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if name is not None and db.engine().dialect.name == "postgresql":
        return Study(_in_database(name, ranges, first), None, ranges, seed)
    journal = None if name is None else _study(JournalStorage(_journal(name)), name)
    working = _study(None, name)
    if journal:
        working.add_trials(journal.get_trials(states=FINISHED))
    if not working.trials:
        _enqueue(working, ranges, first)
    return Study(working, journal, ranges, seed)


def run(study: Study, evaluate: Callable[[int, Values], tuple[float, Values]], *, trials: int) -> None:
    """Run until `trials` trials are finished.

    evaluate : takes a trial's number and its values; returns the value to maximise and figures to keep with it. Raises
    Infeasible where the trial cannot be chosen. Any other error stops the study, which can be resumed.

    A trial's values depend on the seed and on the trials finished before it, not on the process: an interrupted study
    gives the same trials as an uninterrupted one. (Not in PostgreSQL, where other processes may add trials.)
    """
    already = len(study.trials)
    if already:
        log.info("tuning: study resumed, %d trials finished already", already)
    try:
        for done in progress(_until(study, trials), total=max(trials - already, 0), description="tuning"):
            study.working.sampler = _sampler(study)
            study.working.optimize(lambda trial: _objective(trial, study.ranges, evaluate), n_trials=1)
            if study.journal:
                study.journal.add_trial(study.working.get_trials(deepcopy=False)[-1])
            _say(study, done + 1, trials)
    except (optuna.exceptions.StorageInternalError, sa.exc.DBAPIError) as error:
        raise BQError(
            f"tuning: the database of BQ_DATABASE_URL must stay reachable, but {error}. The "
            f"{len(study.trials)} finished trials are kept: run it again to resume."
        ) from None


def best(study: Study) -> FrozenTrial:
    """The best trial, the first of several. Raises BadData where none was feasible."""
    complete = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    if not complete:
        reasons = [trial.user_attrs.get("reason", "no reason given") for trial in study.trials]
        raise BadData(
            f"tuning: at least one trial must be feasible, but none of {len(reasons)} was: "
            f"{max(set(reasons), key=reasons.count)}. Bring more history or symbols, or lower the requirement."
        )
    return max(complete, key=lambda trial: (trial.value, -trial.number))


def _objective(trial: optuna.Trial, ranges: Ranges, evaluate: Callable[[int, Values], tuple[float, Values]]) -> float:
    try:
        value, figures = evaluate(trial.number, {name: _suggest(trial, name, ranges[name]) for name in ranges})
    except Infeasible as error:
        trial.set_user_attr("reason", redact(str(error)))
        raise
    for name, figure in figures.items():
        trial.set_user_attr(name, figure)
    return value


def _suggest(trial: optuna.Trial, name: str, of: BaseDistribution) -> Any:
    if isinstance(of, CategoricalDistribution):
        return trial.suggest_categorical(name, of.choices)
    if isinstance(of, FloatDistribution):
        return trial.suggest_float(name, of.low, of.high, step=of.step, log=of.log)
    if isinstance(of, IntDistribution):
        return trial.suggest_int(name, of.low, of.high, step=of.step, log=of.log)
    raise TypeError(f"`{name}` must be a choice or a range of numbers, but got {of}")


def _until(study: Study, trials: int) -> Iterator[int]:
    while (done := len(study.trials)) < trials:
        yield done


def _sampler(study: Study) -> optuna.samplers.BaseSampler:
    """TPE (Bergstra et al. 2011) with its own seed for each trial, so that trials do not depend on the process."""
    begun = sum(trial.state != TrialState.FAIL for trial in study.working.get_trials(deepcopy=False))
    return optuna.samplers.TPESampler(seed=int(files.digest([study.seed, begun], length=7), 16))


def _say(study: Study, done: int, trials: int) -> None:
    """Log progress where no progress bar is drawn."""
    if not sys.stderr.isatty() and (done % max(trials // LINES, 1) == 0 or done == trials):
        values = [number(trial.value) for trial in study.trials if trial.state == TrialState.COMPLETE]
        log.info("tuning: %d of %d trials, best %s", done, trials, decimal(max(values)) if values else "none yet")


def _study(storage: BaseStorage | None, name: str | None) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)


def _enqueue(study: optuna.Study, ranges: Ranges, first: Values) -> None:
    """Try these values first, unless one lies outside its range."""
    try:
        optuna.trial.create_trial(value=0.0, params=first, distributions=ranges)
    except ValueError:
        return
    study.enqueue_trial(first)


class _ProcessLock:
    """A lock that ends with its process; Optuna's own outlives a killed process by half a minute."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


def _journal(name: str) -> JournalFileBackend:
    """The journal file, without an incomplete last line that a killed process may have left."""
    path = paths.home() / "data" / "tuning" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock: Any = _ProcessLock(path.with_suffix(".lock"))  # Optuna exports no type for it
    whole = path.read_bytes() if path.is_file() else b""
    if whole and not whole.endswith(b"\n"):
        files.write_bytes(path, whole[: whole.rfind(b"\n") + 1])
    return JournalFileBackend(str(path), lock_obj=lock)


def _in_database(name: str, ranges: Ranges, first: Values) -> optuna.Study:
    """The study in PostgreSQL, in its own schema. A trial whose process died is marked as failed and run again."""
    url = db.engine().url.render_as_string(hide_password=False)
    with _alone() as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        connection.execute(sa.text(f"create schema if not exists {SCHEMA}"))
        connection.commit()
        storage = RDBStorage(
            url,
            engine_kwargs={"pool_pre_ping": True, "connect_args": {"options": f"-csearch_path={SCHEMA}"}},
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=4 * HEARTBEAT_SECONDS,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=RETRIES),
        )
        sa.event.listen(storage.engine, "do_connect", db.connect_patiently)
        study = _study(storage, name)
        if not study.trials:
            _enqueue(study, ranges, first)
    return study


@contextmanager
def _alone() -> Iterator[sa.Connection]:
    """Hold a lock in PostgreSQL, so that two processes do not create Optuna's tables at the same time."""
    key = {"key": int(files.digest("bq.tuning", length=7), 16)}
    with db.engine().connect() as connection:
        connection.execute(sa.text("select pg_advisory_lock(:key)"), key)
        try:
            yield connection
        finally:
            connection.rollback()
            connection.execute(sa.text("select pg_advisory_unlock(:key)"), key)
