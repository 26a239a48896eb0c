"""One Optuna study: seeded trial by trial, written as it runs, and resumed where it was interrupted.

A kept study lies in a journal file, data/tuning/<name>.log, which one process writes at a time. Where
`BQ_DATABASE_URL` is PostgreSQL it lies there, and several machines may run trials of it at the same time. Trials may be
evaluated by several processes; this one asks and tells.
"""

import copy
import glob
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
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
from bq.core.numerals import significant
from bq.core.parallel import Pool
from bq.core.scalars import number
from bq.core.secrets import redact
from bq.tuning.heart import Heart

Ranges = dict[str, BaseDistribution]
Values = dict[str, Any]  # of one trial, by dotted name of the parameter

Evaluate = Callable[[int, Values], Any]
Keep = Callable[[int, Values, Any], tuple[float, Values]]

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
# kept with a trial: the number under which it was begun, also where it is run again, and the seed of its sampler
NUMBER, SEED = "number", "sampler_seed"
POLL_SECONDS = 1.0  # how often is looked whether other processes finished their trials
HEARTBEAT_SECONDS = 15  # of a running trial in PostgreSQL; after four times as long without one the trial is run again
RETRIES = 3
LOCK = "bq.tuning"
SCHEMA = "optuna"  # in PostgreSQL: Optuna and bq have tables of the same names
LINES = 5  # of progress in a log
RESUME = "Trials that were finished are kept where the study is: run it again to resume."


class Infeasible(optuna.TrialPruned):
    """A trial that cannot be chosen; the message gives the reason."""


class Study(NamedTuple):
    """A running study. Made by `begin`."""

    working: optuna.Study
    journal: optuna.Study | None  # where each trial of `working` is written once it is finished
    ranges: Ranges
    seed: int
    shared: RDBStorage | None = None  # where other processes may add trials too

    @property
    def trials(self) -> list[FrozenTrial]:
        """The finished trials in order: feasible (complete) or infeasible (pruned).

        One that was run again after its process died has the number of its first run.
        """
        found = self.working.get_trials(deepcopy=False, states=FINISHED)
        return sorted(map(_numbered, found), key=lambda trial: trial.number)


class Begun(NamedTuple):
    """A trial under way."""

    trial: optuna.Trial
    number: int
    values: Values


def begin(name: str | None, ranges: Ranges, *, seed: int, first: Values) -> Study:
    """Begin a study, or resume the one of that name.

    name : under which it is kept; None: in memory alone. first : values that a new study tries first, if they lie
    within the ranges. A name stands for one set of ranges and one seed: whatever changes them must change the name.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if name is not None and db.engine().dialect.name == "postgresql":
        return _in_database(name, ranges, first, seed)
    journal = None if name is None else _study(JournalStorage(_journal(name)), name)
    working = _study(None, name)
    if journal:
        _add(working, journal.get_trials(states=FINISHED))
    if not working.trials:
        _enqueue(working, ranges, first)
    return Study(working, journal, ranges, seed)


def run(study: Study, evaluate: Evaluate, *, trials: int, keep: Keep | None = None, workers: int = 1) -> None:
    """Run until `trials` trials are finished, those of other processes in a shared storage among them.

    evaluate : takes a trial's number and its values; with several `workers` in another process, and once more where
    that is killed. keep : called here with the same and what `evaluate` returned; returns the value to maximise and
    figures to keep with it. Without `keep` that is what `evaluate` returns. Both raise Infeasible where the trial
    cannot be chosen. Any other error stops the study, which can be resumed.

    A trial's values depend on the seed and on the trials finished or under way when it began. With one worker these do
    not depend on the process: an interrupted study gives the same trials as an uninterrupted one. (Not with several, or
    in PostgreSQL, where other processes may add trials: there each trial is reproducible by its values.)
    """
    done = len(study.trials)
    if done:
        log.info("tuning: study resumed, %d trials finished already", done)
    made, left = _finished(study, evaluate, keep, trials, workers), max(trials - done, 0)
    try:
        for _ in progress(made, total=left, description="tuning"):
            done += 1
            _say(study, done, trials)
    except (optuna.exceptions.StorageInternalError, sa.exc.DBAPIError) as error:
        reason = " ".join(str(error.__cause__ or error).splitlines()[0].split()).rstrip(".")
        raise BQError(
            f"tuning: the database of BQ_DATABASE_URL must stay reachable, but: {redact(reason)}. {RESUME}"
        ) from None
    except db.Unusable as error:  # of the ledger
        raise BQError(f"tuning: {error} {RESUME}") from None


def _finished(study: Study, evaluate: Evaluate, keep: Keep | None, trials: int, workers: int) -> Iterator[None]:
    """Run trials, as many at a time as there are workers; yields after each."""
    under_way, waiting = dict[int, Begun](), False
    with Pool(evaluate, workers, what="tuning") as pool, Heart(study.shared, HEARTBEAT_SECONDS, under_way):
        try:
            while True:
                while len(under_way) < pool.workers and (one := _begin(study, trials)):
                    under_way[one.trial._trial_id] = one
                    pool.submit(one, one.number, one.values)
                if under_way:
                    for one, result in pool.finished():
                        _finish(study, one, result, keep)
                        del under_way[one.trial._trial_id]
                        yield
                elif len(study.trials) >= trials:
                    return
                else:
                    if not waiting:
                        log.info("tuning: waiting for trials of other processes; those of dead ones are run again")
                    waiting = True
                    time.sleep(POLL_SECONDS)
        except BaseException:
            _give_back(study, under_way.values())
            raise


def _begin(study: Study, trials: int) -> Begun | None:
    """A trial to run; None where as many as are wanted are finished or under way, wherever that may be."""
    with _alone(study.shared):
        if study.shared:
            with _without_warnings():
                optuna.storages.fail_stale_trials(study.working)
        known = study.working.get_trials(deepcopy=False)
        if sum(trial.state in (*FINISHED, TrialState.RUNNING) for trial in known) >= trials:
            return None
        seed = _seed(study, known)
        study.working.sampler = optuna.samplers.TPESampler(seed=seed)
        with _without_warnings():  # of a heart that is not Optuna's
            trial = study.working.ask()
        if study.shared:
            study.shared.record_heartbeat(trial._trial_id)  # from its first moment
        values = {name: _suggest(trial, name, of) for name, of in study.ranges.items()}
        if NUMBER not in trial.user_attrs:
            trial.set_user_attr(NUMBER, trial.number)
            trial.set_user_attr(SEED, seed)
        return Begun(trial, trial.user_attrs[NUMBER], values)


def _finish(study: Study, one: Begun, result: Callable[[], Any], keep: Keep | None) -> None:
    """Keep what came of a trial; where another process took it for dead, and runs it again, that one's counts."""
    value, state = None, TrialState.COMPLETE
    try:
        made = result()
        value, figures = keep(one.number, one.values, made) if keep else made
        for name, figure in figures.items():
            one.trial.set_user_attr(name, figure)
    except Infeasible as error:
        one.trial.set_user_attr("reason", redact(str(error)))
        state = TrialState.PRUNED
    except optuna.exceptions.UpdateFinishedTrialError:
        return
    study.working.tell(one.trial, value, state=state, skip_if_finished=True)
    if study.journal:
        study.journal.add_trial(study.working.get_trials(deepcopy=False)[one.trial.number])


def _give_back(study: Study, under_way: Iterable[Begun]) -> None:
    """Let others run at once what this process does not finish; without the database, when its heart is missed."""
    if not study.shared:
        return
    with _without_warnings(), suppress(optuna.exceptions.OptunaError, sa.exc.SQLAlchemyError):
        for one in under_way:
            ended = study.working.tell(one.trial, state=TrialState.FAIL, skip_if_finished=True)
            if ended.state == TrialState.FAIL:
                RetryHeartbeatStaleTrialCallback()(study.working, ended)


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


def _suggest(trial: optuna.Trial, name: str, of: BaseDistribution) -> Any:
    if isinstance(of, CategoricalDistribution):
        return trial.suggest_categorical(name, of.choices)
    if isinstance(of, FloatDistribution):
        return trial.suggest_float(name, of.low, of.high, step=of.step, log=of.log)
    if isinstance(of, IntDistribution):
        return trial.suggest_int(name, of.low, of.high, step=of.step, log=of.log)
    raise TypeError(f"`{name}` must be a choice or a range of numbers, but got {of}")


def _seed(study: Study, known: list[FrozenTrial]) -> int:
    """Of the sampler (TPE, Bergstra et al. 2011) of the next trial: its own, so that no trial depends on a process."""
    begun = sum(trial.state not in (TrialState.FAIL, TrialState.WAITING) for trial in known)
    return int(files.digest([study.seed, begun], length=7), 16)


def _numbered(trial: FrozenTrial) -> FrozenTrial:
    """A trial by the number that it was begun with."""
    own = trial.user_attrs.get(NUMBER, trial.number)
    if own == trial.number:
        return trial
    found = copy.copy(trial)
    found.number = own
    return found


def _add(working: optuna.Study, finished: list[FrozenTrial]) -> None:
    """Add trials under their numbers. Where several were under way when a process was killed, some are missing."""
    for trial in sorted(map(_numbered, finished), key=lambda trial: trial.number):
        while len(working.get_trials(deepcopy=False)) < trial.number:
            working.add_trial(optuna.trial.create_trial(state=TrialState.FAIL))
        working.add_trial(trial)


def _say(study: Study, done: int, trials: int) -> None:
    """Log progress where no progress bar is drawn."""
    if not sys.stderr.isatty() and (done % max(trials // LINES, 1) == 0 or done == trials):
        values = [number(trial.value) for trial in study.trials if trial.state == TrialState.COMPLETE]
        log.info("tuning: %d of %d trials, best %s", done, trials, significant(max(values)) if values else "none yet")


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


def _in_database(name: str, ranges: Ranges, first: Values, seed: int) -> Study:
    """The study in PostgreSQL, in its own schema. A trial whose process died is marked as failed and run again."""
    with db.engine().connect() as connection:
        db.alone(connection, LOCK)  # so that no two processes create Optuna's tables at the same time
        connection.execute(sa.text(f"create schema if not exists {SCHEMA}"))
        connection.commit()
        db.alone(connection, LOCK)
        storage = in_database()
        study = _study(storage, name)
        if not study.trials:
            _enqueue(study, ranges, first)
    return Study(study, None, ranges, seed, storage)


def in_database() -> RDBStorage:
    """Optuna's storage in PostgreSQL."""
    url = db.engine().url.render_as_string(hide_password=False)
    with _without_warnings():
        storage = RDBStorage(
            url,
            engine_kwargs={"pool_pre_ping": True, "connect_args": {"options": f"-csearch_path={SCHEMA}"}},
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=4 * HEARTBEAT_SECONDS,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=RETRIES),
        )
    sa.event.listen(storage.engine, "do_connect", db.connect_patiently)
    return storage


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Without Optuna's: what it calls experimental here is held by tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _alone(shared: RDBStorage | None) -> Iterator[None]:
    """Let no other process that shares the storage begin a trial meanwhile."""
    if shared is None:
        yield
        return
    with shared.engine.begin() as connection:
        db.alone(connection, LOCK)
        yield


def stored(namespace: str) -> tuple[str, BaseStorage]:
    """What is kept, to look at: all studies in PostgreSQL, else the newest of a namespace. Its name, and the storage.

    Raises BadData where there is none.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if db.engine().dialect.name == "postgresql":
        if sa.inspect(db.engine()).has_table("studies", schema=SCHEMA):
            return "all in the database of BQ_DATABASE_URL", in_database()
    elif found := list((paths.home() / "data" / "tuning").glob(f"{glob.escape(namespace)}_*.log")):
        newest = max(found, key=lambda path: path.stat().st_mtime_ns)
        return newest.stem, JournalStorage(JournalFileBackend(str(newest)))
    raise BadData(f"a study of {namespace} must be kept to be looked at, but there is none. Run `make tune` first.")
