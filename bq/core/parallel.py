"""One way to use more than one core: joblib, or a Dask cluster where `BQ_DASK_SCHEDULER` names its scheduler."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from typing import Any, NamedTuple, TypeVar

from bq.core.errors import BadParameters, BQError
from bq.core.log import draw_none, log, progress

T = TypeVar("T")
SCHEDULER = "BQ_DASK_SCHEDULER"
MEMORY_TARGET = "BQ_MEMORY_TARGET_MIB"  # in the environment of a run's processes
PARENT_SECONDS = 0.5  # how often a worker looks whether its parent still lives


def workers() -> int:
    """Number of worker processes: `BQ_WORKERS`, default (or 0) the number of usable cores."""
    text = os.environ.get("BQ_WORKERS", "").strip() or "0"
    if not text.isdecimal():
        raise BadParameters(f"BQ_WORKERS must be a whole number of processes, but got {text!r}.")
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return int(text) or usable or 1


def fitting(count: int) -> int:
    """How many of `count` workers, each as large as this process, stay below the memory target of the run."""
    target = os.environ.get(MEMORY_TARGET)
    if not target:
        return count
    import psutil

    mine = psutil.Process().memory_info().rss / 2**20
    least = max(min(count, int(float(target) / mine) - 1), 1)
    if least < count:
        log.warning(
            "only %d of %d workers run: each may hold %.0f MiB, and the memory target is %s MiB",
            least,
            count,
            mine,
            target,
        )
    return least


def parallel_map(function: Callable[[Any], T], items: Iterable[Any], *, description: str) -> list[T]:
    """Apply `function` to each item, results in the order of the items, whatever the number of workers.

    function : pure, as it may run on another machine: it reads and writes no file of this one. An error raised by it
    reaches the caller as itself. Raises BQError where a worker was killed, on a cluster: again and again.
    """
    items = list(items)
    found = dict(completed(function, items, description=description))
    return [found[place] for place in range(len(items))]


def completed(
    function: Callable[[Any], T], items: Sequence[Any], *, description: str, here: bool = False
) -> Iterator[tuple[int, T]]:
    """The place of each item and its result, as soon as it is there; see `parallel_map`.

    here : on this machine alone, as `function` reads or writes files of it.
    """
    if not items:
        return
    if os.environ.get(SCHEDULER) and not here:
        from bq.core import cluster

        results = cluster.completed(function, items, description=description)
    else:
        results = _locally(function, items, description)
    yield from progress(results, total=len(items), description=description)


def _locally(function: Callable[[Any], T], items: Sequence[Any], description: str) -> Iterator[tuple[int, T]]:
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    count = fitting(min(workers(), len(items)))
    with joblib.parallel_config("loky", initializer=_end_with, initargs=(os.getpid(),)):
        run = joblib.Parallel(n_jobs=count, return_as="generator_unordered")
    try:
        yield from run(joblib.delayed(_placed)(function, place, item) for place, item in enumerate(items))
    except TerminatedWorkerError:
        raise BQError(
            f"{description}: every worker process must run to its end, but one of {count} was killed, most "
            "likely because the machine ran out of memory. Try BQ_WORKERS=1, or fewer symbols."
        ) from None


def _placed(function: Callable[[Any], T], place: int, item: Any) -> tuple[int, T]:
    return place, function(item)


class _Sent(NamedTuple):
    item: Any
    arguments: tuple[Any, ...]
    tries: int


class Pool:
    """Worker processes of this machine to which `function` is sent once; with one worker it runs in this process.

    What a killed worker had under way, and the others with it, is run once more.
    """

    def __init__(self, function: Callable[..., Any], workers: int, *, what: str) -> None:
        """what : for people."""
        self.workers, self._function, self._what = fitting(workers), function, what
        self._executor: Any = None  # of loky, which has no types
        self._under_way: dict[Future[Any], _Sent] = {}

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def submit(self, item: Any, *arguments: Any) -> None:
        """Let a worker do `function(*arguments)`; `finished` gives it back as the item's."""
        self._send(_Sent(item, arguments, tries=1))

    def finished(self) -> list[tuple[Any, Callable[[], Any]]]:
        """Wait for an item or more; each with what returns its result, or raises what `function` raised.

        Raises BQError where workers were killed twice at one.
        """
        done = wait(self._under_way, return_when=FIRST_COMPLETED).done
        if any(isinstance(future.exception(), BrokenExecutor) for future in done):
            done = self._again()
        return [(self._under_way.pop(future).item, future.result) for future in done]

    def _send(self, sent: _Sent) -> None:
        future: Future[Any] = Future()
        if self.workers == 1:
            try:
                future.set_result(self._function(*sent.arguments))
            except Exception as error:  # noqa: BLE001  it is raised again by `result`
                future.set_exception(error)
        else:
            self._executor = self._executor or self._started()
            try:
                future = self._executor.submit(_work, *sent.arguments)
            except BrokenExecutor as error:  # a worker was killed meanwhile: `finished` sends it with what that had
                sent = sent._replace(tries=sent.tries - 1)
                future.set_exception(error)
        self._under_way[future] = sent

    def _started(self) -> Any:
        from joblib.externals.loky import ProcessPoolExecutor

        return ProcessPoolExecutor(self.workers, initializer=_take, initargs=(os.getpid(), self._function))

    def _again(self) -> set[Future[Any]]:
        """Send what broke to new workers; returns what came to its end all the same."""
        wait(self._under_way)
        self._end()
        broken = [future for future in self._under_way if isinstance(future.exception(), BrokenExecutor)]
        for future in broken:
            sent = self._under_way.pop(future)
            if sent.tries > 1:
                raise BQError(
                    f"{self._what}: every worker process must run to its end, but one was killed, and again when its "
                    "work was done once more, most likely because the machine ran out of memory. Try fewer WORKERS."
                )
            log.warning("%s: a worker process was killed; what it did is done once more", self._what)
            self._send(sent._replace(tries=sent.tries + 1))
        return {future for future in self._under_way if future.done()}

    def _end(self) -> None:
        if self._executor:
            self._executor.shutdown(kill_workers=True)
            self._executor = None


_taken: list[Callable[..., Any]] = []  # in a worker of a Pool: its function


def _take(parent: int, function: Callable[..., Any]) -> None:
    _end_with(parent)
    os.environ["BQ_WORKERS"] = "1"
    _taken[:] = [function]


def _work(*arguments: Any) -> Any:
    return _taken[0](*arguments)


def _end_with(parent: int) -> None:
    """End this worker process with its parent: loky's own wait for work minutes after the parent was killed.

    The parent alone answers to its terminal: a worker that ends first would be taken for one killed by the system.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.environ.pop(SCHEDULER, None)  # its own steps stay in it
    draw_none()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
