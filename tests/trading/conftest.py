import contextlib
import itertools
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from bq.trading.ibkr import guard


@pytest.fixture(autouse=True)
def a_home_of_its_own(tmp_path, monkeypatch):
    """An empty home and database, and one process."""
    monkeypatch.setenv("BQ_WORKERS", "1")
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture
def port():
    """A paper port of this machine, for this test alone: others may want it in other processes."""
    for number in itertools.cycle(guard.PORTS):
        lock = FileLock(Path(tempfile.gettempdir()) / f"bq-paper-port-{number}.lock")
        with contextlib.suppress(Timeout), lock.acquire(timeout=1.0):
            yield number
            return
