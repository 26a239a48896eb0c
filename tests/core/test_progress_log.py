import logging

import pytest

from bq.core.log import configure, log, progress, stage


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
