"""What was found about prices, as the warnings of a run's record."""

from types import SimpleNamespace

import pytest

from bq import market
from bq.core.settings import Market
from bq.jobs.retrain import describe_market


@pytest.fixture
def warned(tmp_path, monkeypatch):
    """The warnings of a run over the closes of one symbol."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    (tmp_path / "data/raw/bars").mkdir(parents=True)

    def write(*closes: float) -> list[str]:
        rows = [f"A,2020-01-{day:02},{close}" for day, close in zip((2, 3, 6, 7), closes, strict=True)]
        (tmp_path / "data/raw/bars/all.csv").write_text("\n".join(["symbol,date,close", *rows]))
        run = SimpleNamespace(record=SimpleNamespace(warnings=[]))
        describe_market(run, market.load(Market(source="files", max_quarantine_share=1.0)))
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
