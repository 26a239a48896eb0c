"""Memory of a run and its processes: what it may take, what it took, and what happens above the ceiling."""

import ctypes
import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

SAMPLE_SECONDS = 0.2
CONTAINER = (  # Linux control groups, version 2 and 1
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
TARGET_SHARE = 7 / 8  # of the ceiling: so many workers are started as stay below it


class Limits(NamedTuple):
    """In MiB."""

    machine: int
    ceiling: int  # above it the run stops
    target: int  # workers are started as long as they fit below it

    @staticmethod
    def of(ceiling_share: float) -> "Limits":
        """Limits of this machine, or of the container that it is seen from. ceiling_share : of its memory."""
        machine = min([psutil.virtual_memory().total, *_container_bytes()]) / 2**20
        ceiling = machine * ceiling_share
        return Limits(int(machine), int(ceiling), int(ceiling * TARGET_SHARE))


def _container_bytes() -> list[int]:
    """What a container may take of the machine's memory; empty where nothing bounds it ("max")."""
    texts = [path.read_text().strip() for path in CONTAINER if path.is_file()]
    return [int(text) for text in texts if text.isdigit()]


class Watch:
    """Highest resident memory of this process and its children together, sampled while the block runs.

    above : MiB, and until : seconds on the monotonic clock, from which `excess` is called, once, with the MiB that were
    found. Afterwards `mib` is the highest.
    """

    def __init__(self, *, above: float, excess: Callable[[int], None], until: float = math.inf) -> None:
        self.mib, self._above, self._excess, self._until = 0, above, excess, until

    def __enter__(self) -> "Watch":
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        told = False
        while True:
            now = resident_mib()
            self.mib = max(self.mib, now)
            if (now > self._above or time.monotonic() > self._until) and not told:
                told = True
                self._excess(now)
            if self._stop.wait(SAMPLE_SECONDS):
                return


def give_back() -> None:
    """Return to the system what this process has freed, where its C library keeps it (glibc): others can use it."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def resident_mib() -> int:
    """Resident memory of this process and all below it."""
    me = psutil.Process(os.getpid())
    total = 0
    for process in [me, *me.children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue  # it ended in between
    return total // 2**20
