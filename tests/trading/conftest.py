import contextlib
import itertools
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from bq.trading import ledger
from bq.trading.ibkr import guard
from bq.trading.orders import Orders
from bq.trading.recount import Recount


@pytest.fixture(autouse=True)
def a_home_of_its_own(tmp_path, monkeypatch):
    """An empty home and database."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture(params=["sqlite", "postgresql"])
def either_database(a_home_of_its_own, request):
    """A database of either kind without rows."""
    if request.param == "postgresql":
        request.getfixturevalue("tables")


@pytest.fixture(autouse=True)
def the_ledger_says_the_same(monkeypatch):
    """Whenever a run asks for its orders, or for what moved, the ledger is read too."""
    mine, recount = Orders.mine, Orders.recount

    def checked_mine(self):
        known = mine(self)
        assert known == ledger.opened(self._account, self._namespace)
        return known

    def checked_recount(self):
        known = recount(self)
        assert content(known) == content(Recount(self._account))
        return known

    monkeypatch.setattr(Orders, "mine", checked_mine)
    monkeypatch.setattr(Orders, "recount", checked_recount)


def content(one):
    """What a recount says, whatever the order in which it was told."""
    moved = {place: (at.net, at.cash, at.last, sorted(at.fills)) for place, at in one.moved()}
    return moved, one.charges(), sorted(one.strangers)


@pytest.fixture
def port():
    """A paper port of this machine, for this test alone: others may want it in other processes."""
    for number in itertools.cycle(guard.PORTS):
        lock = FileLock(Path(tempfile.gettempdir()) / f"bq-paper-port-{number}.lock")
        with contextlib.suppress(Timeout), lock.acquire(timeout=1.0):
            yield number
            return
