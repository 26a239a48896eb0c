"""One way to use more than one core: joblib, or a Dask cluster where `BQ_DASK_SCHEDULER` names its scheduler."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from bq.core.errors import BadParameters, BQError
from bq.core.log import log, progress

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


def _end_with(parent: int) -> None:
    """End this worker process with its parent: loky's own wait for work minutes after the parent was killed.

    The parent alone answers to its terminal: a worker that ends first would be taken for one killed by the system.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.environ.pop(SCHEDULER, None)  # its own steps stay in it

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
