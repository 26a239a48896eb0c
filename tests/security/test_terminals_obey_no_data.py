"""What came with data is shown on a terminal, never obeyed: no cleared screen, no colour, no line of its own."""

import logging

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bq import market
from bq.core import log
from bq.core.errors import BadData
from bq.core.settings import Market
from bq.jobs import housekeeping, request
from bq.market.chains import read_chains
from bq.workbench import screen

CLEAR = "\x1b[2J\x1b[31mEVIL"
HOSTILE = {
    "escape sequence": CLEAR,
    "newline": "A\nB",
    "carriage return": "A\rB",
    "bell": "\x07A",
    "C1 control": "A\x9b2J",
    "right-to-left override": "A\u202eB",
    "zero width": "A\u200bB",
    "line separator": "A\u2028B",
}
ROW = "2020-01-02,10,11,9,10"
FOREIGN = ("ÆØ", "汉字", "BRK.B", "BTC-USD", "^GSPC", "ES=F", "A B")


@pytest.fixture
def bars(tmp_path, monkeypatch):
    """A function that writes a file of one bar for each of these symbols."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    folder = tmp_path / "data/raw/bars"
    folder.mkdir(parents=True)

    def write(*symbols: str) -> None:
        rows = [f'"{symbol}",{ROW}' for symbol in symbols]
        (folder / "all.csv").write_text("\n".join(["symbol,date,open,high,low,close", *rows]) + "\n", newline="")

    return write


@pytest.mark.parametrize("name", HOSTILE)
def test_a_symbol_that_is_not_printable_is_quarantined(bars, name):
    bars("AAPL", HOSTILE[name])
    data = market.read(Market(source="files", max_quarantine_share=0.9))
    assert data.bars["symbol"].to_list() == ["AAPL"]
    (finding,) = data.findings.filter(pl.col("action") == "quarantined").iter_rows(named=True)
    assert finding["rule"] == "unprintable" and "symbol must be printable, but is" in finding["detail"]
    assert finding["detail"].isprintable()


def test_symbols_of_any_script_and_with_the_field_s_own_marks_are_kept(bars):
    bars(*FOREIGN)
    assert market.read(Market(source="files")).bars["symbol"].to_list() == sorted(FOREIGN)


def test_an_underlying_that_is_not_printable_is_quarantined(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    (tmp_path / "data/raw/chains").mkdir(parents=True)
    header = "underlying,session,expiry,right,strike,bid,ask,spot"
    (tmp_path / "data/raw/chains/a.csv").write_text(f"{header}\n{CLEAR},2020-01-02,2020-02-21,C,325,5,6,324\n")
    data = read_chains(max_quarantine_share=1.0)
    assert data.quotes.is_empty() and data.findings["rule"].to_list() == ["unprintable"]


def test_check_data_shows_hostile_symbols_and_files_in_one_line_each(bars, tmp_path, monkeypatch, capsys):
    bars("AAPL", *HOSTILE.values())
    (tmp_path / "data/raw/bars" / f"{CLEAR}\n.csv").write_text(f"date,open,high,low,close\n{ROW}\n")
    monkeypatch.setenv("SET", "market.source=files market.max_quarantine_share=1.0")
    housekeeping.check_data(request.read())
    said = capsys.readouterr().out
    assert all(line.isprintable() for line in said.split("\n")) and "�[2J�[31mEVIL" in said
    lines = [line for line in said.strip().split("\n") if not line.startswith("    ")]  # which are what was found
    assert len(lines) == 1 + 1 + len(HOSTILE) + 4, "header, symbols, all files, the hostile one, totals, where"
    written = (tmp_path / "outputs/check_data/bars_findings.csv").read_text()
    assert all(line.isprintable() for line in written.split("\n")) and CLEAR not in written


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
@given(text=st.text(st.characters(codec="utf-8")))
def test_the_screen_and_the_log_write_nothing_but_printable_text_and_their_own_colours(terminal, text):
    with pytest.MonkeyPatch.context() as patch:
        written = []
        patch.setattr(screen.sys.stdout, "isatty", lambda: terminal, raising=False)
        patch.setattr(screen.sys.stdout, "write", written.append)
        screen.show(f"{screen.RED}{text}{screen.PLAIN}")
    (said,) = written
    for code in (screen.RED, screen.BOLD, screen.PLAIN):
        said = said.replace(code, "")
    assert said.replace("\n", "").isprintable()
    record = logging.makeLogRecord({"msg": text.replace("%", "")})
    assert log._Plain().format(record).replace("\n", "").isprintable()


def test_a_refusal_of_a_hostile_symbol_does_not_reach_the_terminal_raw(bars, monkeypatch, capsys):
    bars("AAPL", CLEAR)
    monkeypatch.setattr(log.log, "handlers", [])
    log.configure()
    with pytest.raises(BadData) as caught:
        market.load(Market(source="files"))
    log.log.error("%s", caught.value)
    said = capsys.readouterr().err
    assert "EVIL" in said and "\x1b" not in said
