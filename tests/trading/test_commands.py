"""The commands around trading: the kill switch, and one process at a time."""

from types import SimpleNamespace

import polars as pl
import pytest
import season
from season import DAYS

from bq.core.errors import Locked
from bq.core.namespace import Namespace
from bq.jobs import traded, traded_books
from bq.jobs.trade_paper import alone, newest_scan
from bq.monitoring import records
from bq.trading import gates
from bq.trading.entering import Opened


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


def entered(namespace, session, *, late):
    rows = pl.DataFrame(
        [{"event_id": "e", "symbol": "S1", "session": session, "tier": 1, "model": "m1", "score": 60.0}]
    )
    made = rows.with_columns(should_trade=True, rank=1)
    scan = records.Scan(namespace, session, season.CLOSE[session], {}, "da7a", "c0de", "m1", None, late)
    return records.enter(scan, made).scan_id


def asked(namespace):
    market = SimpleNamespace(is_simulated=namespace.simulated)
    return newest_scan(SimpleNamespace(namespace=namespace, market=market))


def test_the_first_scan_in_time_of_the_newest_session_is_followed_and_no_later_one():
    whose = Namespace("toy")
    assert asked(whose) is None
    entered(whose, DAYS[0], late=False)
    early = entered(whose, DAYS[1], late=True)
    assert (asked(whose).scan_id, asked(whose).counts) == (early, False)
    first = entered(whose, DAYS[1], late=False)
    entered(whose, DAYS[1], late=False)
    assert (asked(whose).scan_id, asked(whose).counts) == (first, True)


def test_on_a_simulated_market_the_newest_scan_is_followed():
    whose = Namespace("toy", simulated=True)
    entered(whose, DAYS[0], late=True)
    newest = entered(whose, DAYS[0], late=True)
    assert (asked(whose).scan_id, asked(whose).counts) == (newest, True)


def test_a_track_whose_symbols_were_not_decided_on_says_of_how_many_decisions():
    said = traded.track_line(Opened("RuleB", True, wanted=3, own=0)).split("opens ")[1]
    assert said == "nothing: of 3 decisions to be traded none is in a symbol that was drawn for this track this week"
