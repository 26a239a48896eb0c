"""Whatever a file of bars or of quotes holds, the user gets bars or a sentence, and nothing is written."""

import datetime as dt
import gzip
import io

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bq import market
from bq.core.errors import BQError
from bq.core.settings import Market
from bq.market.check import summary, table
from bq.market.sources.files import ENDINGS
from tests.fuzz.many import many

DAYS = [f"2020-01-{day:02}" for day in (2, 3, 6, 7, 8, 9, 10)]
BARS = [["date", "open", "high", "low", "close", "adj_close", "volume", "symbol"]]
BARS += [[day, "10", "12", "9", f"1{i}.5", "5.25", "100", "AB"[i % 2]] for i, day in enumerate(DAYS)]
QUOTES = [["quote_date", "expiration", "type", "strike", "bid", "ask", "underlying_last", "symbol", "iv"]]
QUOTES += [[day, "2020-02-21", "call", f"{100 + i}", "1.5", "1.6", "101", "A", "0.2"] for i, day in enumerate(DAYS)]

WORDS = ["", " ", "NaN", "nan", "inf", "-inf", "null", "None", "NA", "#N/A", "-", "0", "-0", "-1", "1e400", "1e-400"]
WORDS += [
    "1,5",
    "1.234,5",
    "1_000",
    "0x10",
    "١٢",
    "½",
    "9" * 400,
    "true",
    "abc",
    '"',
    "'",
    '"a,b"',
    "\\",
    "\0",
    "\ufeff",
]
WORDS += ["2020-01-04", "2999-01-01", "0001-01-01", "-2020-01-02", "2020-13-45", "20200102", "02/03/2020", "1577923200"]
WORDS += ["2020-01-02T16:00", "2020-01-02T16:00Z", "2020-01-02 16:00:00+09:00", "2020-01-02T25:61:00-05:00", "24:00"]
WORDS += [
    "<script>alert(1)</script>",
    "=cmd()",
    "../../x",
    "é",
    "𝔸",
    "a\nb",
    "SPXW200221C00100000",
    "C",
    "put",
    "X" * 3000,
]
HEADS = [
    "",
    "close",
    "Close ",
    "CLOSE",
    "date",
    "timestamp",
    "symbol",
    "Ticker",
    "adj",
    "quoted",
    "iv",
    "contract",
    "root",
]
HEADS += [
    "right",
    "style",
    "row",
    "file",
    "as_found",
    "value",
    "day",
    "shares_key",
    "position",
    "<script>",
    "close_duplicated_0",
]
KINDS = [
    lambda text: text,
    lambda text: text,
    lambda text: text.cast(pl.Float64, strict=False),
    lambda text: text.cast(pl.Int32, strict=False),
    lambda text: text.str.to_date(strict=False),
    lambda text: text.str.to_date(strict=False).cast(pl.Datetime("ns"), strict=False),
    lambda text: text.str.to_date(strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("Asia/Tokyo"),
    lambda text: text.cast(pl.Categorical),
    lambda text: text.cast(pl.Binary),
    lambda text: text.is_null(),
    lambda text: text.cast(pl.Float64, strict=False).cast(pl.Decimal(12, 3), strict=False),
    lambda text: text.reshape((-1, 1)) if len(text) else text,
    lambda text: pl.Series(text.name, [None] * len(text)),
    lambda text: pl.Series(text.name, [1e308] * len(text)),
]


@st.composite
def spoilt(draw, rows):
    """The rows with cells, rows and columns changed."""
    rows = [list(row) for row in rows]
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(rows) - 1))
        place = draw(st.integers(0, max(len(rows[at]) - 1, 0)))
        what = draw(st.sampled_from(["cell", "cell", "cell", "head", "drop", "repeat", "longer", "shorter", "column"]))
        if what == "cell" and rows[at]:
            rows[at][place] = draw(st.sampled_from(WORDS) | st.text(max_size=8))
        elif what == "head" and rows[0]:
            rows[0][min(place, len(rows[0]) - 1)] = draw(st.sampled_from(HEADS))
        elif what == "drop" and len(rows) > 1:
            del rows[at]
        elif what == "repeat":
            rows.append(list(rows[at]))
        elif what == "longer":
            rows[at].append(draw(st.sampled_from(WORDS)))
        elif what == "shorter" and rows[at]:
            rows[at].pop()
        elif what == "column":
            word = draw(st.sampled_from(WORDS))
            rows[1:] = [[*row[:place], word, *row[place + 1 :]] for row in rows[1:]]
    return rows


@st.composite
def content(draw, rows):
    """A file's ending and bytes: a dialect of the spoilt rows, perhaps cut or damaged, or any bytes at all."""
    ending = draw(st.sampled_from([".csv", ".csv", ".txt", ".csv.gz", ".txt.gz", ".parquet"]))
    if draw(st.integers(0, 19)) == 0:
        return ending, draw(st.binary(max_size=200))
    made = draw(spoilt(rows))
    if ending == ".parquet":
        data = parquet(draw, made)
    else:
        separator = draw(st.sampled_from([",", ",", ",", ";", "\t", "|"]))
        text = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"])).join(separator.join(row) for row in made)
        data = text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])), "replace")
        data = gzip.compress(data) if ending.endswith(".gz") and draw(st.booleans()) else data
    if draw(st.integers(0, 4)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    if draw(st.integers(0, 9)) == 0 and data:
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.binary(min_size=1, max_size=4)) + data[at + 1 :]
    return ending, data


def parquet(draw, rows) -> bytes:
    """The rows as Parquet, columns of types drawn."""
    columns = []
    for place, name in enumerate(dict.fromkeys(rows[0])):
        text = pl.Series(name, [row[place] if place < len(row) else None for row in rows[1:]], pl.String)
        columns.append(draw(st.sampled_from(KINDS))(text))
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home whose two folders of data are emptied before each case."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BQ_HOME", str(folder))
        for kind in ("bars", "chains"):
            (folder / "data/raw" / kind).mkdir(parents=True)
        yield folder


def put(home, kind, name, data):
    for old in (home / "data/raw" / kind).iterdir():
        old.unlink()
    (home / "data/raw" / kind / name).write_bytes(data)


def listing(home):
    return {path: path.stat().st_mtime_ns for path in home.rglob("*")}


def judge(home, settings):
    """Read as `make check-data` does, then as a run does; return what was read, or None where it was refused."""
    before, data = listing(home), None
    try:
        data = market.read(settings)
        said = market.refusals(data, settings)
        assert summary(data)["read"].sum() == data.counts["read"].sum()
        assert len(table(data)["lines"]) or data.findings.is_empty()
    except BQError as error:
        said = str(error)
        assert said
    assert "Traceback" not in said and str(home) not in said and (not said or len(said) > 20)
    assert listing(home) == before
    return data


@many(300)
@given(made=content(BARS))
def test_any_file_of_bars_gives_bars_or_a_sentence(home, made):
    ending, text = made
    put(home, "bars", f"A{ending}", text)
    data = judge(home, Market(source="files"))
    if data is None:
        return
    assert set(data.findings["action"]) <= {"rejected", "quarantined", "repaired", "flagged"}
    dropped = data.findings.filter(pl.col("rule").is_in(["exact_duplicate"]) | (pl.col("action") == "quarantined"))
    assert (data.counts["read"] - data.counts["outside"]).sum() == len(data.bars) + len(
        dropped
    )  # no row disappears without a finding
    assert not data.bars.select("symbol", "session").is_duplicated().any()
    assert (data.bars["close"] > 0).all() and data.bars["close"].is_finite().all()
    assert data.bars["session"].is_null().sum() == 0
    assert len(data.bars) == 0 or data.bars["session"].max() <= dt.date.today()


@many(200)
@given(made=content(QUOTES))
def test_any_file_of_quotes_gives_quotes_or_a_sentence(home, made):
    ending, text = made
    put(home, "bars", "A.csv", b"date,close\n2020-01-02,100\n2020-01-03,101\n")
    put(home, "chains", f"A{ending}", text)
    data = judge(home, Market(source="files", chains=True))
    assert data is not None  # the bars are good: what is wrong with quotes is a finding
    quotes = data.quotes
    assert ((quotes["bid"] > 0) & (quotes["bid"] <= quotes["ask"])).all()
    assert quotes["ask"].is_finite().all() and quotes["strike"].is_finite().all()
    assert data.chain_data.findings.filter(pl.col("detail").str.contains(str(home), literal=True)).is_empty()


def test_every_kind_of_file_that_is_read_is_drawn():
    assert set(ENDINGS) == {".csv", ".csv.gz", ".txt", ".txt.gz", ".parquet"}
