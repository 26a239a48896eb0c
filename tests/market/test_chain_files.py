import datetime as dt
import gzip

import polars as pl
import pytest

from bq.market.bars import rejections
from bq.market.chains import read_chains
from bq.market.chains.columns import match

HEADER = "quote_date,expiration,type,strike,bid,ask,underlying_last"
CALL = "2020-01-02,2020-02-21,call,325,5.61,5.65,324.87"
PUT = "2020-01-02,2020-02-21,put,325,6.32,6.37,324.87"
SMALLEST = "\n".join([HEADER, CALL, PUT, ""])


@pytest.fixture
def chains_folder(tmp_path, monkeypatch):
    """An empty data/raw/chains below a home of its own."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    folder = tmp_path / "data" / "raw" / "chains"
    folder.mkdir(parents=True)
    return folder


def table(**columns):
    first = {
        "session": [dt.date(2020, 1, 2)] * 2,
        "expiry": [dt.date(2020, 2, 21)] * 2,
        "right": ["call", "put"],
        "strike": [325.0] * 2,
        "bid": [5.61, 6.32],
        "ask": [5.65, 6.37],
        "spot": [324.87] * 2,
    }
    return pl.DataFrame(first | columns)


@pytest.mark.parametrize("exists", [True, False], ids=["empty", "absent"])
def test_a_folder_without_files_gives_no_quotes_and_no_error(chains_folder, exists):
    if not exists:
        chains_folder.rmdir()
    data = read_chains()
    assert data.quotes.is_empty() and data.findings.is_empty() and data.counts.is_empty()
    assert len(data.data_hash) == 64


def test_the_smallest_file_of_the_readme_loads(chains_folder):
    (chains_folder / "README.md").write_text("not data")
    (chains_folder / "SPY.csv").write_text(SMALLEST)
    data = read_chains()
    assert data.quotes.select("underlying", "root", "right", "bid", "ask", "spot").rows() == [
        ("SPY", "SPY", "call", 5.61, 5.65, 324.87),
        ("SPY", "SPY", "put", 6.32, 6.37, 324.87),
    ]
    assert data.findings["rule"].to_list() == ["symbol_from_name"]
    assert data.counts.row(0)[:6] == ("SPY.csv", "SPY", 2, 2, 0, 0)


def test_every_form_of_a_file_gives_the_same_hash(chains_folder):
    hashes = set()
    forms = {
        "SPY.csv": SMALLEST.encode(),
        "SPY.csv.gz": gzip.compress(SMALLEST.replace(",", "\t").encode()),
        "us/2020.csv": SMALLEST.replace(HEADER, HEADER + ",symbol").replace("324.87\n", "324.87, SPY \n").encode(),
        "SPY.parquet": None,
    }
    for name, content in forms.items():
        path = chains_folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content) if content else table().write_parquet(path)
        data = read_chains()
        hashes.add((data.data_hash, len(data.quotes)))
        path.unlink()
    assert len(hashes) == 1 and hashes.pop()[1] == 2


@pytest.mark.parametrize(
    "columns",
    [
        ["quotedate", "underlying_last", "optionroot", "expiration", "type", "strike", "bid", "ask", "openinterest"],
        ["Quote_Date", "Underlying Price", "root", "Expiry", "Option_Type", "Strike", "Bid_EOD", "Ask_EOD"],
        ["date", "stock_price", "contractSymbol", "best_bid", "best_offer"],
    ],
    ids=["one-vendor", "another", "occ-id-only"],
)
def test_vendors_names_of_columns_are_known(columns):
    assert {"session", "spot", "bid", "ask"} <= set(match(columns))


def test_an_occ_id_stands_in_for_what_has_no_column_of_its_own(chains_folder):
    ids = ["SPXW  200221C03250000", "SPX200221P03250500"]
    table(contract=ids).drop("expiry", "right", "strike").write_parquet(chains_folder / "chain.parquet")
    quotes = read_chains().quotes.sort("root", descending=True)
    assert quotes.select("underlying", "root", "expiry", "right", "strike", "settlement").rows() == [
        ("SPX", "SPXW", dt.date(2020, 2, 21), "call", 3250.0, "PM"),
        ("SPX", "SPX", dt.date(2020, 2, 21), "put", 3250.5, "AM"),
    ]


def test_an_id_that_says_nothing_sets_its_row_aside(chains_folder):
    ids = ["SPXW200221C03250000", "SPXW Feb 3250 put"]
    table(contract=ids).drop("expiry", "right", "strike").write_parquet(chains_folder / "chain.parquet")
    data = read_chains(max_quarantine_share=1.0)
    assert len(data.quotes) == 1
    assert data.findings.filter(pl.col("action") == "quarantined")["rule"].to_list() == ["missing"]


@pytest.mark.parametrize(
    "roots, underlyings",
    [(["SPXW", "SPX"], ["SPX"]), (["AAPL1", "AAPL"], ["AAPL"]), (["NA", "BRKB"], ["BRKB", "NA"])],
    ids=str,
)
def test_the_underlying_follows_from_the_root(chains_folder, roots, underlyings):
    table(root=roots).write_parquet(chains_folder / "chain.parquet")
    assert read_chains().quotes["underlying"].unique().sort().to_list() == underlyings


def test_only_the_underlyings_asked_for_are_read(chains_folder):
    table(symbol=["A", "B"]).write_parquet(chains_folder / "both.parquet")
    (chains_folder / "C.csv").write_text(SMALLEST)
    data = read_chains(underlyings=["B", "nobody"])
    assert data.quotes["underlying"].to_list() == ["B"]
    assert data.counts.select("file", "symbol", "read", "kept", "not_asked").rows() == [
        ("C.csv", "C", 2, 0, 2),
        ("both.parquet", "A", 1, 0, 1),
        ("both.parquet", "B", 1, 1, 0),
    ]


def test_columns_outside_the_contract_are_not_read_and_said(chains_folder):
    table(delta=[0.5, -0.5], iv=[0.0, 0.2], junk=[b"\xff", b""]).write_parquet(chains_folder / "A.parquet")
    data = read_chains()
    found = data.findings.filter(pl.col("rule") != "symbol_from_name").select("action", "rule")
    assert found.rows() == [("repaired", "extra_columns"), ("flagged", "vendor_iv")]
    assert data.findings["detail"][0] == "ignored: delta, junk"


@pytest.mark.parametrize(
    "text, rule, says",
    [
        (SMALLEST.replace("bid", "b"), "missing_column", "`bid`"),
        (SMALLEST.replace("strike", "strike_price"), "missing_column", "`strike`"),
        (SMALLEST.replace("type", "right").replace("ask", "type"), "two_columns", "`right`"),
        (
            SMALLEST.replace("5.61", "five"),
            "wrong_dtype",
            "row 1: bid must be a plain number (1234.5), but reads 'five'",
        ),
        (SMALLEST.replace("put", "straddle"), "wrong_dtype", "right must hold call or put, but one reads 'straddle'"),
        (SMALLEST.replace("2020-02-21,put", "soon,put"), "wrong_dtype", "row 2, column `expiry`"),
        (SMALLEST.replace("2020-01-02", "2999-01-02"), "future_session", "row 1, column `session`"),
        (SMALLEST.replace("2020-01-02", "2020-01-02 10:00:00"), "naive_time", "row 1, column `session`"),
        (HEADER + "\n", "empty", "must hold rows"),
        (HEADER + ",symbol\n" + CALL + ",SPY200221C00325000\n", "wrong_dtype", "Name that column `contract`"),
        (HEADER + "\n" + CALL + ",1,2\n", "unreadable", "must be whole and readable"),
    ],
    ids=lambda value: value if value.replace("_", "").isalpha() else "",
)
def test_a_file_unfit_as_a_whole_is_rejected_with_its_reason(chains_folder, text, rule, says):
    (chains_folder / "SPY.csv").write_text(text)
    (chains_folder / "good.csv").write_text(SMALLEST)
    findings = read_chains().findings
    (finding,) = findings.filter(pl.col("action") == "rejected").rows(named=True)
    assert (finding["file"], finding["rule"]) == ("SPY.csv", rule) and says in finding["detail"]
    assert rejections(findings).startswith("SPY.csv: ")


def test_a_damaged_file_is_rejected_and_a_foreign_one_flagged(chains_folder):
    table().write_parquet(chains_folder / "A.parquet")
    whole = (chains_folder / "A.parquet").read_bytes()
    (chains_folder / "A.parquet").write_bytes(whole[: len(whole) // 2])
    (chains_folder / "notes.xlsx").write_bytes(b"")
    assert read_chains().findings.select("action", "rule").rows() == [
        ("rejected", "unreadable"),
        ("flagged", "not_read"),
    ]


@pytest.mark.parametrize("empty_rows", [0, 1000], ids=["no-empty-rows", "many-empty-rows"])
def test_rows_without_a_quote_neither_fail_a_run_nor_dilute_what_does(chains_folder, empty_rows):
    rows = [CALL.replace("325,", f"{300 + i},").replace(",5.6", ",15.6" if i == 7 else ",5.6", 1) for i in range(20)]
    empty = [PUT.replace("325,6.32", f"{100 + i},0") for i in range(empty_rows)]
    (chains_folder / "SPY.csv").write_text("\n".join([HEADER, *rows, *empty]))
    assert len(read_chains().quotes) == 19
    refused = rejections(read_chains(max_quarantine_share=0.04).findings)
    assert "1 of 20 are (5.0%): crossed 1; worst underlyings: SPY 1" in refused


def test_the_summary_of_bars_reads_chains_too(chains_folder):
    from bq.market.check import summary

    (chains_folder / "SPY.csv").write_text(SMALLEST.replace("6.37", "6.31"))
    line, _ = summary(read_chains(max_quarantine_share=1.0)).rows(named=True)
    assert (line["symbol"], line["read"], line["kept"], line["quarantined"]) == ("SPY", 2, 1, 1)
    assert line["reasons"][0].startswith("crossed ×1 (row 2, 2020-01-02: bid must be <= ask")


def test_the_spx_sample_loads_as_it_is(chains_folder, samples):
    name = "spx_option_chain_2019-04-25_2019-06-13.parquet"
    (chains_folder / name).symlink_to(samples / name)
    data = read_chains(underlyings=["SPX"])
    assert data.counts.row(0)[1:6] == ("SPX", 454_018, 424_764, 29_254, 0)
    assert data.quotes["session"].n_unique() == 33
    at_open = data.quotes.filter(pl.col("settlement") == "AM")
    assert at_open["root"].unique().to_list() == ["SPX"] and set(at_open["expiry"].dt.weekday()) == {5}
    assert data.quotes.filter(pl.col("root") == "SPX")["settlement"].unique().to_list() == ["AM"]
    rules = dict(data.findings.group_by("rule").agg(pl.col("rows").sum()).rows())
    assert rules["vendor_iv"] > 30_000 and rules["below_intrinsic"] < 200


def test_a_holiday_that_repeats_the_session_before_is_found_in_the_sample(chains_folder, samples):
    sample = pl.read_parquet(samples / "spx_option_chain_2019-04-25_2019-06-13.parquet")
    day = sample.filter(pl.col("quotedate") == dt.datetime(2019, 5, 23))
    copies = [day, *(day.with_columns(quotedate=pl.lit(dt.datetime(2019, 5, number))) for number in (24, 27))]
    pl.concat(copies).write_parquet(chains_folder / "days.parquet")
    data = read_chains()
    rules = data.findings.filter(pl.col("action") == "quarantined").group_by("session", "rule").len().sort("session")
    assert rules.select("session", "rule").rows() == [
        (dt.date(2019, 5, 24), "repeated_snapshot"),
        (dt.date(2019, 5, 27), "closed_session"),
    ]
    assert data.quotes["session"].unique().to_list() == [dt.date(2019, 5, 23)]


def test_links_are_followed_and_those_that_lead_nowhere_or_back_are_said(chains_folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    table().write_parquet(elsewhere / "SPY.parquet")
    (chains_folder / "vendor").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(elsewhere)
    (chains_folder / "QQQ.csv").symlink_to(tmp_path / "nowhere.csv")
    data = read_chains()
    assert data.counts["file"].to_list() == ["vendor/SPY.parquet"]
    said = data.findings.filter(pl.col("rule").is_in(["unreadable", "not_read"])).select("file", "action").rows()
    assert said == [("QQQ.csv", "rejected"), ("vendor/back", "flagged")]
