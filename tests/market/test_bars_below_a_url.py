"""Bars below `BQ_DATA_ROOT`: the same bars, findings and counts as from data/raw/bars/, whoever put them there."""

import datetime as dt
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import polars as pl
import pytest

from bq import market
from bq.core import objects, partitions, paths
from bq.core.errors import BadData, BadParameters, BQError
from bq.core.objects import Place
from bq.core.settings import Market
from bq.jobs import request, upload
from bq.market import calendars
from bq.market.sources import rooted

FILES = Market(source="files")
HEAD = "date,open,high,low,close,volume\n"


def lines(first: dt.date, count: int, price: float = 10.0) -> str:
    """Rows of so many sessions."""
    days = calendars.sessions("XNYS").filter(pl.col("session") >= first)["session"].head(count)
    return "".join(f"{day},{price},{price + 1 + n % 3},{price - 1},{price},{100 + n}\n" for n, day in enumerate(days))


@pytest.fixture
def folder(bars_folder):
    """Files with what is repaired, quarantined, flagged and ignored."""
    good = lines(dt.date(2019, 11, 1), 300)
    (bars_folder / "AAA.csv").write_text(HEAD + good + good.splitlines(keepends=True)[5])
    (bars_folder / "BBB.csv").write_text(HEAD + good + "2021-06-01,10,9,11,10,5\n2021-07-04,10,10,10,10,5\n")
    (bars_folder / "old.csv").write_text("symbol,session,close,sector,remark\n" + "OLD,1984-05-01,7,Banks,x\n" * 2)
    more = pl.DataFrame({"symbol": ["CCC", None, "DDD"], "date": ["2020-05-01", "2020-05-04", None]})
    more.with_columns(close=pl.Series([3.0, 4.0, 5.0])).write_parquet(bars_folder / "more.parquet")
    (bars_folder / "notes.pdf").write_text("not read")
    return bars_folder


@pytest.fixture
def url(monkeypatch):
    """The URL of an empty place, which `BQ_DATA_ROOT` can be set to."""
    return f"memory://{uuid4().hex}"


@pytest.fixture
def uploaded(folder, url, monkeypatch, capsys):
    """The files brought below the URL; none is left in the folder."""
    monkeypatch.setattr(partitions, "SYMBOLS", 1)
    monkeypatch.setenv("BQ_DATA_ROOT", url)
    monkeypatch.setenv("SET", "market.max_quarantine_share=0.1")
    for name in ("STRATEGY", "PARAMS", "SYMBOLS", "FROM", "TO"):
        monkeypatch.delenv(name, raising=False)
    upload.main(request.read())
    return url


def content(data: market.MarketData) -> list:
    findings = data.findings.with_columns(pl.col("action").cast(pl.String))
    counts = data.counts.filter(pl.sum_horizontal(pl.col(pl.UInt32)) > 0)
    return [data.data_hash, data.sectors, sorted(map(repr, findings.rows())), sorted(map(repr, counts.rows()))]


ASKED = {
    "all": {},
    "some symbols": {"symbols": ["AAA", "CCC"]},
    "some dates": {"start": dt.date(2020, 1, 15), "end": dt.date(2020, 6, 30)},
    "both": {"symbols": ["BBB"], "beside": ["CCC"], "start": dt.date(2020, 2, 3)},
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_what_was_brought_is_judged_as_its_files_are(uploaded, monkeypatch, asked):
    there = market.read(Market(source="files", max_quarantine_share=0.5, **asked))
    monkeypatch.delenv("BQ_DATA_ROOT")
    here = market.read(Market(source="files", max_quarantine_share=0.5, **asked))
    assert here.bars.equals(there.bars) and len(here.findings) > 2
    assert content(there)[:2] == content(here)[:2] and content(there)[3] == content(here)[3]
    missing = set(content(here)[2]) ^ set(content(there)[2])
    assert missing == set() or asked.get("symbols"), "of files that are not asked for less is said here"


def test_a_symbol_that_is_not_there_is_asked_back_by_the_names_in_the_pointer(uploaded):
    with pytest.raises(BadParameters, match="did you mean `BBB`"):
        market.read(Market(source="files", symbols=["BBBB"]))


def test_another_calendar_is_refused(uploaded):
    with pytest.raises(BadData, match=r"by the sessions of XNYS, but market.calendar is XLON.*make upload"):
        market.read(Market(source="files", calendar="XLON"))


def test_what_a_run_would_refuse_is_not_uploaded(folder, url, monkeypatch):
    monkeypatch.setenv("BQ_DATA_ROOT", url)
    for name in ("STRATEGY", "PARAMS", "SET"):
        monkeypatch.delenv(name, raising=False)
    (folder / "worse.csv").write_text("date,close\n2020-01-02,x\n")
    with pytest.raises(BadData, match=r"(?s)worse.csv: .*BQ_DATA_ROOT= make check-data` lists.*Nothing was uploaded"):
        upload.main(request.read())
    assert Place(url).objects() == {}
    monkeypatch.setenv("SYMBOLS", "AAA")
    with pytest.raises(BadParameters, match="SYMBOLS chooses some"):
        upload.main(request.read())
    monkeypatch.delenv("BQ_DATA_ROOT")
    with pytest.raises(BadParameters, match="BQ_DATA_ROOT must be set"):
        upload.main(request.read())


@pytest.fixture
def place(bars_folder, url, monkeypatch):
    """Where a user puts files by hand."""
    monkeypatch.setenv("BQ_DATA_ROOT", url)
    return Place(url) / "raw" / "bars"


def test_files_put_there_by_hand_are_read_as_those_of_the_folder(folder, place, monkeypatch):
    for path in folder.iterdir():
        (place / path.name).write(path.read_bytes())
    (place / ".hidden").write(b"x")
    there = market.read(FILES)
    monkeypatch.delenv("BQ_DATA_ROOT")
    assert content(there) == content(market.read(FILES))


def test_of_a_partitioned_dataset_the_folders_say_the_symbols_and_those_asked_for_are_copied(
    place, monkeypatch, tmp_path
):
    for number, symbol in enumerate(("AAA", "BRK B")):
        key = symbol.replace(" ", "%20")
        frame = pl.DataFrame({"date": [dt.date(2020, 1, 2), dt.date(2020, 1, 3)], "close": [1.0 + number, 2.0]})
        path = f"symbol={key}/year=2020/part-0.parquet"
        frame.write_parquet(tmp_path / "part.parquet")
        (place / path).write(Path(tmp_path / "part.parquet").read_bytes())
    assert market.read(FILES).bars.select("symbol", "close").rows() == [
        ("AAA", 1.0),
        ("AAA", 2.0),
        ("BRK B", 2.0),
        ("BRK B", 2.0),
    ]
    copied, copy = [], Place.copy_to
    monkeypatch.setattr(Place, "copy_to", lambda self, target: copied.append(str(self)) or copy(self, target))
    assert len(market.read(Market(source="files", symbols=["AAA"])).bars) == 2
    assert [path.partition("symbol=")[2] for path in copied] == ["AAA/year=2020/part-0.parquet"]


def test_an_upload_that_was_killed_before_its_end_is_nobody_s_bars(place):
    (place / "20260101T000000Z-abcd" / "rows/bucket=0/year=2020/part.parquet").write(b"half")
    with pytest.raises(BadData, match=r"needs bars below memory://.*make upload"):
        market.read(FILES)


def test_a_name_that_leads_out_of_the_folder_is_refused(place, monkeypatch):
    monkeypatch.setattr(Place, "objects", lambda self: {"../../evil.csv": ""})
    with pytest.raises(BadData, match="must stay within"):
        market.read(FILES)


def test_a_server_reads_bars_that_were_brought_anew_and_keeps_those_it_has_while_the_storage_is_away(
    uploaded, monkeypatch
):
    from bq.jobs.http import sessions

    reads = []
    monkeypatch.setattr(sessions.store, "market_data", lambda settings: reads.append(1) or market.load(settings.market))
    server = sessions.Sessions(None, SimpleNamespace(market=Market(source="files", max_quarantine_share=0.1)))
    first = server._read()
    assert server._read() is first, "within ten seconds nobody looks"
    server._next_look = 0
    assert server._read() is first and len(reads) == 1
    upload.main(request.read())
    server._next_look = 0
    assert server._read() is not first and len(reads) == 2

    def away():
        raise BQError("could not be reached")

    monkeypatch.setattr(rooted, "stamp", away)
    server._next_look = 0
    assert server._read().data_hash == first.data_hash and len(reads) == 2 and server._next_look > 0


def test_events_of_a_world_of_its_own_never_reach_the_url(url, monkeypatch, tmp_path):
    from bq.core import world

    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.setenv("BQ_DATA_ROOT", url)
    assert str(objects.events("forecast")) == f"{url}/events/forecast"
    with world.own() as home:
        assert objects.events("forecast") == home / "data" / "events" / "forecast"
        assert objects.raw_bars() == Place(url) / "raw" / "bars"


REFUSED = {
    "a path": ("/mnt/team", "must be a URL such as s3://bucket/prefix"),
    "a password": ("s3://me:canary-password@bucket/x", "without a user, password or key"),
    "a key": ("s3://AKIATESTTESTTESTTEST@bucket/x", "without a user, password or key"),
    "a query": ("https://host/x?sig=canary-password&secret=canary-password", "without a user, password or key"),
    "a pattern": ("s3://bucket/*", "without a query, blanks or any of"),
    "an unknown scheme": ("s4://bucket/x", r"scheme that fsspec knows, but 's4://bucket/x' is of none.*known: abfs"),
    "a package that is not there": ("gs://bucket/x", r"gs:// needs a package that is not installed.*pip install gcsfs"),
}


@pytest.mark.parametrize(("given", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_such_url_is_one_sentence_without_what_is_secret(given, said, monkeypatch):
    if given.startswith("gs:"):
        monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    monkeypatch.setenv("BQ_DATA_ROOT", given)
    with pytest.raises(BQError, match=said) as caught:
        objects.root()
    assert "canary" not in str(caught.value) and "AKIA" not in str(caught.value)


def test_a_home_that_is_a_url_is_refused_with_what_to_set(monkeypatch):
    monkeypatch.setenv("BQ_HOME", "s3://bucket/home")
    with pytest.raises(BadParameters, match=r"BQ_HOME must be a folder of this machine.*Set BQ_DATA_ROOT"):
        market.read(FILES)


def test_without_the_variable_no_package_of_a_storage_is_imported():
    code = "import sys; import bq; from bq.jobs import collect, status; from bq import market; "
    code += "from bq.core.settings import Market; market.load(Market(symbols=['SPX'])); "
    code += "print(sorted({'fsspec', 's3fs'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.CHECKOUT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
