import io
import itertools
import logging
import os
import re
import sys
from contextlib import contextmanager
from functools import partial

import pytest

from bq.core import log as module
from bq.core.log import configure, log, progress, progress_of, stage


@pytest.fixture
def logger():
    """The package's logger, put back as it was."""
    before = log.handlers[:], log.level, log.propagate
    yield log
    log.handlers[:], log.level, log.propagate = before


@pytest.mark.parametrize(
    ("value", "level"),
    [("", logging.INFO), ("debug", logging.DEBUG), ("WARNING", logging.WARNING), ("loud", logging.INFO)],
    ids=["unset", "lower-case", "upper-case", "unknown"],
)
def test_the_level_comes_from_the_environment_and_an_unknown_one_is_info(logger, monkeypatch, value, level):
    monkeypatch.setenv("BQ_LOG", value)
    configure()
    assert logger.level == level


def test_lines_are_stamped_where_there_is_no_terminal(logger, capsys):
    configure()
    logger.info("a message")
    stamp, offset, message = capsys.readouterr().err.partition(" INFO ")
    assert message == "a message\n" and offset and stamp[4] == "-" and "T" in stamp


def test_configuring_twice_says_everything_once(logger, capsys):
    configure()
    configure()
    logger.info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_a_stage_keeps_how_long_it_took(logger):
    seconds = {}
    with stage("reading", seconds):
        pass
    assert list(seconds) == ["reading"] and seconds["reading"] >= 0


def test_progress_gives_the_items_and_is_silent_without_a_terminal(capsys):
    assert list(progress(range(3), total=3, description="items")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


@contextmanager
def terminal(monkeypatch):
    """Standard error as a terminal, each look at whose clock is a second later; what was written to it, as a list."""
    written = []
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", 0) as screen, os.fdopen(theirs, "w", 1, "utf-8") as end, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", end)
        patch.setenv("COLUMNS", "60")
        patch.setattr("tqdm.std.time", partial(next, itertools.count()))
        configure()
        yield written
        print("end", file=end)
        drawn = b""
        while not drawn.endswith(b"end\r\n"):
            drawn += screen.read(4096)
        written.append(drawn.decode())


def test_a_terminal_has_one_bar_the_outermost_and_lines_stand_above_it(logger, monkeypatch):
    with terminal(monkeypatch) as written:
        for place in progress(range(3), total=3, description="markets"):
            assert list(progress("ab", total=2, description="folds")) == ["a", "b"]
            log.info("market %d", place)
    (drawn,) = written
    assert "markets:  67%" in drawn and re.search(r"2/3 \[00:0[1-9] left\]", drawn) and "folds" not in drawn
    lines = [line.rpartition("\r")[2] for line in drawn.split("\r\n")]
    assert lines == ["market 0", "market 1", "market 2", "end", ""]


def test_a_bar_that_was_left_half_way_is_no_bar_any_more(logger, monkeypatch):
    with terminal(monkeypatch) as written:
        next(progress(range(3), total=3, description="first"))
        assert list(progress(range(1), total=1, description="second")) == [0]
    assert "second: 100%" in written[0]


def test_a_file_that_is_read_shows_how_far(logger, monkeypatch, tmp_path):
    (tmp_path / "archive").write_bytes(bytes(2048))
    with (
        terminal(monkeypatch) as written,
        (tmp_path / "archive").open("rb") as file,
        progress_of(file, description="restore") as shown,
    ):
        assert (len(shown.read(1024)), len(shown.read())) == (1024, 1024)
    assert re.search(r"restore:  50%.* 1\.0\dk/2\.0\dk \[", written[0])


def test_a_log_has_a_line_now_and_then_with_how_far_and_how_long_still(logger, monkeypatch, caplog):
    monkeypatch.setattr(module, "LINE_SECONDS", 0.0)
    logger.propagate = True
    caplog.set_level(logging.INFO, logger="bq")
    assert list(progress(range(2), total=2, description="markets")) == [0, 1]
    told = list(dict.fromkeys(caplog.messages))  # a state may be told twice where no time need pass between two lines
    assert told == ["markets: 0 of 2, ? left", "markets: 1 of 2, 00:00 left", "markets: 2 of 2, 00:00 left"]


def test_the_time_left_is_not_judged_by_a_first_item_that_holds_work_done_once(logger, monkeypatch, caplog):
    monkeypatch.setattr(module, "LINE_SECONDS", 0.0)
    now = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    logger.propagate = True
    caplog.set_level(logging.INFO, logger="bq")
    for place in progress(range(10), total=10, description="events"):
        now[0] += 1.0 if place else 60.0
    told = list(dict.fromkeys(caplog.messages))
    assert told[1:4] == ["events: 1 of 10, ? left", "events: 2 of 10, 00:08 left", "events: 3 of 10, 00:07 left"]


def test_a_line_for_a_stream_that_is_closed_is_lost_and_stops_nothing(monkeypatch):
    """A terminal that went away; pytest's own, after the test that opened it."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    stream = io.StringIO()
    handler = module._AboveBars(stream)
    stream.close()
    handler.handle(logging.LogRecord("bq", logging.INFO, "", 0, "to nobody", None, None))
