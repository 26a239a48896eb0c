"""The commands around trading: the kill switch, and one process at a time."""

import pytest

from bq.core.errors import Locked
from bq.jobs import traded_books
from bq.jobs.trade_paper import alone
from bq.trading import gates


def test_stop_and_resume_turn_the_kill_switch(a_home_of_its_own, capsys):
    traded_books.resume(None)
    assert "was not on" in capsys.readouterr().out
    traded_books.stop(None)
    assert gates.stopped() and (a_home_of_its_own / "data" / "STOP").is_file()
    traded_books.stop(None)
    traded_books.resume(None)
    assert not gates.stopped()


def test_an_account_is_traded_by_one_run_at_a_time():
    with (
        alone("dry-run.toy"),
        alone("dry-run.other"),
        pytest.raises(Locked, match="one run trades at a time"),
        alone("dry-run.toy"),
    ):
        pass
    with alone("dry-run.toy"):
        pass
