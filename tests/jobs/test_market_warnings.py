"""What was found about prices, as the warnings of a run's record."""

from types import SimpleNamespace

import pytest

from bq import market
from bq.core.settings import Market
from bq.jobs import health
from bq.jobs.retrain import describe_market


@pytest.fixture
def load(tmp_path, monkeypatch):
    """The market of a file with these rows."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    (tmp_path / "data/raw/bars").mkdir(parents=True)

    def write(*rows: str) -> market.MarketData:
        (tmp_path / "data/raw/bars/all.csv").write_text("\n".join(["symbol,date,close", *rows]))
        return market.load(Market(source="files", max_quarantine_share=1.0))

    return write


@pytest.fixture
def warned(load):
    """The warnings of a run over the closes of one symbol."""

    def write(*closes: float) -> list[str]:
        rows = [f"A,2020-01-{day:02},{close}" for day, close in zip((2, 3, 6, 7), closes, strict=True)]
        run = SimpleNamespace(record=SimpleNamespace(warnings=[]))
        describe_market(run, load(*rows))
        return run.record.warnings

    return write


def test_large_jumps_are_repeated_as_a_warning_of_the_run(warned):
    assert warned(10, 30, 60, 61) == [
        "2 price jumps, 2 of them like a split that was not adjusted (A 2020-01-03, A 2020-01-06)"
    ]


def test_prices_without_jumps_give_no_warning(warned):
    assert warned(10, 11, 12, 13) == []


def test_rows_set_aside_are_a_warning_of_their_own(warned):
    assert warned(10, -1, 12, 13) == ["1 row quarantined (A: 1 not_positive)"]


def test_refused_rows_are_as_many_as_their_reasons_say_and_a_copy_is_none(load):
    found = health.refused(load("A,2020-01-02,10", "A,2020-01-02,10", "A,2020-01-03,-1", "A,2020-01-06,11"))
    assert (found.count, found.of, found.why) == (1, 4, "1 not_positive")
