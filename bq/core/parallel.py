"""One way to use more than one core: joblib, on Dask where `BQ_DASK_SCHEDULER` names a scheduler."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from bq.core.errors import BadParameters, BQError
from bq.core.log import log, progress

T = TypeVar("T")
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


def parallel_map(function: Callable[..., T], items: Iterable[Any], *, description: str) -> list[T]:
    """Apply `function` to each item, results in the order of the items, whatever the number of workers.

    An error raised by `function` reaches the caller as itself. Raises BQError where a worker was killed.
    """
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    items = list(items)
    with _backend(fitting(min(workers(), len(items)) or 1)) as count:
        results = joblib.Parallel(n_jobs=count, return_as="generator")(joblib.delayed(function)(item) for item in items)
        try:
            return list(progress(results, total=len(items), description=description))
        except TerminatedWorkerError:
            raise BQError(
                f"{description}: every worker process must run to its end, but one of {count} was killed, most "
                "likely because the machine ran out of memory. Try BQ_WORKERS=1, or fewer symbols."
            ) from None


@contextmanager
def _backend(local: int) -> Iterator[int]:
    """Number of jobs for joblib: `local` on this machine, all there are where Dask has a scheduler."""
    import joblib

    scheduler = os.environ.get("BQ_DASK_SCHEDULER")
    if not scheduler:
        with joblib.parallel_config("loky", initializer=_end_with, initargs=(os.getpid(),)):
            yield local
        return
    try:
        from dask.distributed import Client
    except ImportError:
        raise BadParameters(
            f"BQ_DASK_SCHEDULER is {scheduler!r}, which needs the package `distributed`, but it is not installed. "
            "Install it, or unset the variable to work on this machine."
        ) from None
    with Client(scheduler), joblib.parallel_config(backend="dask"):
        yield -1


def _end_with(parent: int) -> None:
    """End this worker process with its parent: loky's own wait for work minutes after the parent was killed.

    The parent alone answers to its terminal: a worker that ends first would be taken for one killed by the system.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
