"""Timing in turn, and what the figures were taken on."""

import gc
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bq.core import parallel, versions
from tests.bench.row import Goal, Row

PACKAGES = (*versions.PACKAGES, "nbconvert", "numba", "pandas", "papermill", "plotly")


class Plan(NamedTuple):
    """How large each measurement is: tiny only shows that it runs, quick is a small look, full is for the record."""

    size: Literal["tiny", "quick", "full"]

    def n(self, *, full: int, quick: int, tiny: int) -> int:
        """The number that belongs to the plan's size."""
        return {"full": full, "quick": quick, "tiny": tiny}[self.size]


class Pair(NamedTuple):
    """Seconds for one unit of work, arrays of shape (n_repeats,); the i-th of both were taken one after the other."""

    peer: NDArray[np.float64]
    ours: NDArray[np.float64]

    def row(self, *, of: str, n: str, peer: str, goal: Callable[[float], Goal], **more: Any) -> Row:
        """A row whose first goal is the speed-up peer/ours, `more` its other fields; `goals` are put behind it."""
        medians = [float(np.median(part)) for part in self]
        ratios = self.peer / self.ours
        goals = (goal(medians[0] / medians[1]), *more.pop("goals", ()))
        values = [goal(float(ratio)).value for ratio in (ratios.min(), ratios.max())]
        return Row(of, n, peer, *medians, goals, len(ratios), (min(values), max(values)), **more)


def speed_up(bound: float) -> Callable[[float], Goal]:
    """Goal: at least `bound` times as fast as the peer."""
    return lambda ratio: Goal("speed-up", ratio, "≥", bound, "×")


def cost(bound: float) -> Callable[[float], Goal]:
    """Goal: at most `bound` times the peer's time."""
    return lambda ratio: Goal("time of the peer", 1 / ratio, "≤", bound, "×")


def in_turn(*tasks: Callable[[], object], repeats: int) -> NDArray[np.float64]:
    """Seconds of each task in each repeat, shape (n_tasks, n_repeats).

    Each task is run once before, outside the timing (compilation, imports, caches, worker processes). Every repeat runs
    all tasks, every other one backwards, so that a machine that slows down in between slows all of them.
    """
    for task in tasks:
        task()
    seconds = np.empty((len(tasks), repeats))
    for repeat in range(repeats):
        order = range(len(tasks)) if repeat % 2 == 0 else reversed(range(len(tasks)))
        for index in order:
            gc.collect()
            start = time.perf_counter()
            tasks[index]()
            seconds[index, repeat] = time.perf_counter() - start
    return seconds


def pair(
    peer: Callable[[], object], ours: Callable[[], object], *, peer_n: int = 1, ours_n: int = 1, repeats: int
) -> Pair:
    """Time both in turn, after a warm-up; seconds for one of the `peer_n` and `ours_n` units that a call works on."""
    seconds = in_turn(peer, ours, repeats=repeats)
    return Pair(seconds[0] / peer_n, seconds[1] / ours_n)


def growth(*, of: str, n: list[int], seconds: NDArray[np.float64], **more: Any) -> Row:
    """A row on how cost grows with size: the steeper of two doublings, each the median over the repeats.

    seconds : shape (3, n_repeats), of sizes n, 2n and 4n.
    """
    medians, single = np.median(seconds, axis=1), seconds[1:] / seconds[:-1]
    goal = Goal("time for twice as much", float(np.median(single, axis=1).max()), "≤", 2.2, "×")
    sizes = " → ".join(f"{count:,}" for count in n)
    notes = ("in seconds " + " → ".join(f"{value:.3g}" for value in medians), *more.pop("notes", ()))
    spread = (float(single.min()), float(single.max()))
    times = (float(medians[0] / n[0]), float(medians[-1] / n[-1]))
    return Row(of, sizes, f"at {n[0]:,}", *times, (goal,), seconds.shape[1], spread, notes, **more)


def machine() -> dict[str, Any]:
    """What the figures depend on beside the code."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "workers": parallel.workers(),
        "threads": os.environ.get("OMP_NUM_THREADS", "as many as there are cores"),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _processor() -> str:
    """The processor's name as the system tells it."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def version(package: str) -> str:
    """A package's name with its version."""
    return f"{package} {importlib.metadata.version(package)}"
