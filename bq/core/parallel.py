"""One way to use more than one core: joblib, on Dask where `BQ_DASK_SCHEDULER` names a scheduler."""

import os
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any, TypeVar

from bq.core.log import progress

T = TypeVar("T")


def workers() -> int:
    """Number of worker processes: `BQ_WORKERS`, default the number of usable cores."""
    return (
        int(os.environ.get("BQ_WORKERS", 0)) or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    )


def parallel_map(function: Callable[..., T], items: Iterable[Any], *, description: str) -> list[T]:
    """Apply `function` to each item, results in the order of the items, whatever the number of workers."""
    import joblib

    items = list(items)
    scheduler = os.environ.get("BQ_DASK_SCHEDULER")
    if scheduler:
        from dask.distributed import Client

        Client(scheduler)
    count = min(workers(), len(items)) or 1
    with joblib.parallel_config(backend="dask") if scheduler else nullcontext():
        results = joblib.Parallel(n_jobs=count, return_as="generator")(joblib.delayed(function)(item) for item in items)
        return list(progress(results, total=len(items), description=description))
