"""Bars as vendors ship them: each layout, written here with the same three sessions, gives the same bars."""

import datetime as dt
import gzip

import polars as pl
import pytest

from bq import market
from bq.core.errors import BadData, BadParameters
from bq.core.settings import Market

DAYS = [dt.date(2020, 1, 2), dt.date(2020, 1, 3), dt.date(2020, 1, 13)]
OPEN, HIGH, LOW = [1010.0, 1011.0, 1012.5], [1015.25, 1016.0, 1017.0], [1009.5, 1010.0, 1011.0]
CLOSE, VOLUME = [1012.0, 1013.5, 1014.75], [1_250_000.0, 2_500_000.0, 1_000_000.0]
YFINANCE_3 = """\
Price,Close,High,Low,Open,Volume
Ticker,AAPL,AAPL,AAPL,AAPL,AAPL
Date,,,,,
2020-01-02,1012.0,1015.25,1009.5,1010.0,1250000
2020-01-03,1013.5,1016.0,1010.0,1011.0,2500000
2020-01-13,1014.75,1017.0,1011.0,1012.5,1000000
"""
YFINANCE_2 = """\
Date,Close,High,Low,Open,Volume
,AAPL,AAPL,AAPL,AAPL,AAPL
2020-01-02,1012.0,1015.25,1009.5,1010.0,1250000
2020-01-03,1013.5,1016.0,1010.0,1011.0,2500000
2020-01-13,1014.75,1017.0,1011.0,1012.5,1000000
"""
YFINANCE_COUNTED = """\
Price,Date,Close,High,Low,Open,Volume
Ticker,,AAPL,AAPL,AAPL,AAPL,AAPL
0,2020-01-02,1012.0,1015.25,1009.5,1010.0,1250000
1,2020-01-03,1013.5,1016.0,1010.0,1011.0,2500000
2,2020-01-13,1014.75,1017.0,1011.0,1012.5,1000000
"""
YFINANCE_BY_TICKER = """\
Ticker,AAPL,AAPL,AAPL,AAPL,AAPL
Price,Open,High,Low,Close,Volume
Date,,,,,
2020-01-02,1010.0,1015.25,1009.5,1012.0,1250000
2020-01-03,1011.0,1016.0,1010.0,1013.5,2500000
2020-01-13,1012.5,1017.0,1011.0,1014.75,1000000
"""
DATAREADER = YFINANCE_3.replace("Price", "Attributes").replace("Ticker", "Symbols")
STOOQ = """\
<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>
AAPL,D,20200102,000000,1010.0,1015.25,1009.5,1012.0,1250000,0
AAPL,D,20200103,000000,1011.0,1016.0,1010.0,1013.5,2500000,0
AAPL,D,20200113,000000,1012.5,1017.0,1011.0,1014.75,1000000,0
"""
NASDAQ = """\
Date,Close/Last,Volume,Open,High,Low
01/13/2020,"$1,014.75",1000000,"$1,012.50","$1,017.00","$1,011.00"
01/03/2020,$1013.50,2500000,$1011.00,$1016.00,$1010.00
01/02/2020,$1012.00,1250000,$1010.00,$1015.25,$1009.50
"""
INVESTING = """\
"Date","Price","Open","High","Low","Vol.","Change %"
"01/13/2020","1,014.75","1,012.50","1,017.00","1,011.00","1.00M","0.12%"
"01/03/2020","1,013.50","1,011.00","1,016.00","1,010.00","2.50M","0.15%"
"01/02/2020","1,012.00","1,010.00","1,015.25","1,009.50","1250.00K","0.20%"
"""
INVESTING_OLD = INVESTING.replace("01/13/", "Jan 13, ").replace("01/03/", "Jan 03, ").replace("01/02/", "Jan 02, ")
ALPHA_VANTAGE = """\
timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient
2020-01-13,1012.5,1017.0,1011.0,1014.75,1014.75,1000000,0.0,1.0
2020-01-03,1011.0,1016.0,1010.0,1013.5,1013.5,2500000,0.0,1.0
2020-01-02,1010.0,1015.25,1009.5,1012.0,1012.0,1250000,0.0,1.0
"""
ALPHA_NUMBERED = """\
date,1. open,2. high,3. low,4. close,5. volume
2020-01-13,1012.5,1017.0,1011.0,1014.75,1000000
2020-01-03,1011.0,1016.0,1010.0,1013.5,2500000
2020-01-02,1010.0,1015.25,1009.5,1012.0,1250000
"""
KAGGLE_NAME = """\
date,open,high,low,close,volume,Name
2020-01-02,1010.0,1015.25,1009.5,1012.0,1250000,AAPL
2020-01-03,1011.0,1016.0,1010.0,1013.5,2500000,AAPL
2020-01-13,1012.5,1017.0,1011.0,1014.75,1000000,AAPL
"""
DOLT = KAGGLE_NAME.replace("Name", "act_symbol")
KAGGLE_DASHES = """\
Low,Open,Volume,Date,High,Close,Adjusted Close
1009.5,1010.0,1250000,02-01-2020,1015.25,1012.0,1012.0
1010.0,1011.0,2500000,03-01-2020,1016.0,1013.5,1013.5
1011.0,1012.5,1000000,13-01-2020,1017.0,1014.75,1014.75
"""
METATRADER = """\
<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>
2020.01.02\t1010.0\t1015.25\t1009.5\t1012.0\t77\t1250000\t1
2020.01.03\t1011.0\t1016.0\t1010.0\t1013.5\t88\t2500000\t1
2020.01.13\t1012.5\t1017.0\t1011.0\t1014.75\t99\t1000000\t1
"""
CRSP = """\
PERMNO,date,TICKER,PRC,VOL,RET,OPENPRC,ASKHI,BIDLO,CFACPR,CFACSHR
14593,20200102,AAPL,1012.0,1250000,C,1010.0,1015.25,1009.5,1,1
14593,20200103,AAPL,-1013.5,2500000,0.001,1011.0,1016.0,1010.0,1,1
14593,20200113,AAPL,1014.75,1000000,0.001,1012.5,1017.0,1011.0,1,1
"""
CRSP_NEW = """\
PERMNO,DlyCalDt,Ticker,DlyPrc,DlyVol,DlyOpen,DlyHigh,DlyLow,DlyClose,DlyCumFacPr
14593,2020-01-02,AAPL,1012.0,1250000,1010.0,1015.25,1009.5,1012.0,1
14593,2020-01-03,AAPL,1013.5,2500000,1011.0,1016.0,1010.0,,1
14593,2020-01-13,AAPL,1014.75,1000000,1012.5,1017.0,1011.0,1014.75,1
"""
LAYOUTS = {
    "yfinance-three-headers": ("prices.csv", YFINANCE_3, "yfinance"),
    "yfinance-two-headers": ("prices.csv", YFINANCE_2, "yfinance"),
    "yfinance-two-headers-and-a-count": ("prices.csv", YFINANCE_COUNTED, "yfinance"),
    "yfinance-by-ticker": ("prices.csv", YFINANCE_BY_TICKER, "yfinance"),
    "pandas-datareader": ("prices.csv", DATAREADER, "yfinance"),
    "stooq": ("aapl.us.txt", STOOQ, "Stooq"),
    "nasdaq": ("AAPL.csv", NASDAQ, "Nasdaq.com"),
    "investing": ("AAPL.csv", INVESTING, "Investing.com"),
    "investing-with-names-of-months": ("AAPL.csv", INVESTING_OLD, "Investing.com"),
    "alpha-vantage": ("AAPL.csv", ALPHA_VANTAGE, None),
    "alpha-vantage-numbered": ("AAPL.csv", ALPHA_NUMBERED, "Alpha Vantage"),
    "kaggle-one-file": ("all_stocks_5yr.csv", KAGGLE_NAME, None),
    "dolthub": ("ohlcv.csv", DOLT, None),
    "kaggle-folder": ("stocks/AAPL.csv", KAGGLE_DASHES, None),
    "metatrader": ("AAPL_Daily_202001020000_202001130000.csv", METATRADER, "MetaTrader 5"),
    "crsp": ("crsp.csv", CRSP, "CRSP"),
    "crsp-since-2022": ("crsp.csv", CRSP_NEW, "CRSP"),
}


def put(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def read(**options):
    return market.read(Market(source="files", max_quarantine_share=1.0, **options))


def found(data, rule):
    return data.findings.filter(pl.col("rule") == rule)["detail"].to_list()


@pytest.mark.parametrize("name, text, layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_vendors_layout_gives_the_bars_that_are_in_it(bars_folder, name, text, layout):
    put(bars_folder, name, text)
    data = read()
    bars = data.bars
    assert bars["symbol"].to_list() == ["AAPL"] * 3 and bars["session"].to_list() == DAYS
    assert bars.select("open", "high", "low", "close", "volume").rows() == list(
        zip(OPEN, HIGH, LOW, CLOSE, VOLUME, strict=True)
    )
    assert bars["adj"].to_list() == [1.0] * 3
    assert data.counts["read"].sum() == data.counts["kept"].sum() == 3
    said = found(data, "layout")
    assert said[0].startswith(f"read as {layout}") if layout else not said


TWO_TICKERS = """\
Price,Adj Close,Adj Close,Close,Close,Volume,Volume
Ticker,AAPL,MSFT,AAPL,MSFT,AAPL,MSFT
Date,,,,,,
2020-01-02,5.0,,10.0,,100,
2020-01-03,5.5,20.0,11.0,20.0,110,200
"""


def test_many_tickers_of_one_table_are_as_many_symbols_and_what_is_empty_is_no_bar(bars_folder):
    put(bars_folder, "prices.csv", TWO_TICKERS)
    data = read()
    assert data.bars.select("symbol", "session", "close", "adj", "volume").rows() == [
        ("AAPL", DAYS[0], 10.0, 0.5, 100.0),
        ("AAPL", DAYS[1], 11.0, 0.5, 110.0),
        ("MSFT", DAYS[1], 20.0, 1.0, 200.0),
    ]
    assert found(data, "layout") == ["read as yfinance: 2 tickers; rows without a value for a ticker: 1, no bars of it"]


def test_the_pairs_that_parquet_has_for_names_are_read(bars_folder):
    columns = {"Date": DAYS[:2], "('Close', 'AAPL')": [10.0, 11.0], "('Close', 'BRK-B')": [None, 20.0]}
    pl.DataFrame(columns).write_parquet(bars_folder / "prices.parquet")
    data = read()
    assert data.bars.select("symbol", "close").rows() == [("AAPL", 10.0), ("AAPL", 11.0), ("BRK-B", 20.0)]


def test_pandas_own_tables_of_several_headers_are_read_in_both_formats(bars_folder):
    pd = pytest.importorskip("pandas")
    names = pd.MultiIndex.from_product([["Close", "Volume"], ["AAPL", "MSFT"]], names=["Price", "Ticker"])
    index = pd.DatetimeIndex(["2020-01-02", "2020-01-03"], name="Date")
    frame = pd.DataFrame([[1.0, 2.0, 10, 20], [1.5, 2.5, 11, 21]], index=index, columns=names)
    frame.to_csv(bars_folder / "prices.csv")
    from_csv = read().bars
    (bars_folder / "prices.csv").unlink()
    frame.to_parquet(bars_folder / "prices.parquet")
    assert read().bars.equals(from_csv) and len(from_csv) == 4
    assert from_csv.filter(symbol="MSFT")["volume"].to_list() == [20.0, 21.0]


def test_a_row_of_prices_without_a_date_is_no_row_of_tickers(bars_folder):
    put(bars_folder, "A.csv", "Date,Open,Close\n,10,10\n2020-01-02,11,11\n")
    data = read()
    assert data.bars.select("symbol", "close").rows() == [("A", 11.0)]
    assert data.findings.filter(action="quarantined").select("row", "rule").rows() == [(1, "missing")]


WIDE = "Date,AAPL,BRK.B,^SPX\n2020-01-02,10,,3000\n2020-01-03,11,20,3010\n"


@pytest.mark.parametrize("text", [WIDE, WIDE.replace("Date", "")], ids=["date", "unnamed"])
def test_a_panel_of_sessions_and_symbols_has_a_row_for_each_cell_with_a_value(bars_folder, text):
    put(bars_folder, "panel.csv", text)
    data = read()
    assert data.bars.select("symbol", "close").rows() == [
        ("AAPL", 10.0),
        ("AAPL", 11.0),
        ("BRK.B", 20.0),
        ("^SPX", 3000.0),
        ("^SPX", 3010.0),
    ]
    assert data.counts["read"].sum() == 5
    assert "empty cells: 1, no rows" in found(data, "layout")[0]


@pytest.mark.parametrize(
    "header", ["Date,OPEN,LAST", "Date,PX_OPEN,PX_LAST", "Date,price,return", "Date,BID,ASK"], ids=str
)
def test_words_for_prices_are_no_symbols_of_a_panel(bars_folder, header):
    put(bars_folder, "A.csv", f"{header}\n2020-01-02,1,2\n")
    with pytest.raises(BadData, match="`close` must be there"):
        market.load(Market(source="files"))


def test_a_negative_price_of_crsp_is_a_mean_of_quotes_zero_is_none_and_the_factor_divides(bars_folder):
    rows = ["7,20200102,A,100,1,5", "7,20200103,A,-25,1,1", "7,20200106,A,0,1,1"]
    put(bars_folder, "crsp.csv", "\n".join(["PERMNO,date,TICKER,PRC,VOL,CFACPR", *rows]))
    data = read()
    assert data.bars.select("close", "adj").rows() == [(100.0, 0.2), (25.0, 1.0)]
    assert data.findings.filter(action="quarantined").select("row", "rule").rows() == [(3, "missing")]


def test_a_security_of_crsp_is_its_permno_under_its_newest_ticker(bars_folder):
    rows = ["1,20200102,FB,10,1", "1,20200103,META,11,1", "2,20200102,X,20,1", "3,20200103,X,30,1", "4,20200103,,40,1"]
    put(bars_folder, "crsp.csv", "\n".join(["PERMNO,date,TICKER,PRC,VOL", *rows]))
    assert read().bars.select("symbol", "close").rows() == [
        ("4", 40.0),
        ("META", 10.0),
        ("META", 11.0),
        ("X.2", 20.0),
        ("X.3", 30.0),
    ]


@pytest.mark.parametrize(
    "text",
    [
        STOOQ.replace(",D,", ",5,"),
        METATRADER.replace("<OPEN>", "<TIME>\t<OPEN>").replace(".02\t", ".02\t00:00\t"),
    ],
    ids=["stooq", "metatrader"],
)
def test_a_layout_with_bars_of_minutes_is_refused(bars_folder, text):
    put(bars_folder, "A.txt", text)
    with pytest.raises(BadData, match="bars must be daily"):
        market.load(Market(source="files"))


def test_what_no_recogniser_knows_is_read_by_the_places_that_the_user_states(bars_folder):
    put(bars_folder, "A.csv", "Handelstag,Kurs,Umsatz\n2020-01-02,10,5\n2020-01-03,11,6\n")
    with pytest.raises(BadData, match=r"`close` must be there, but the columns are: 'Handelstag', 'Kurs'.*mark"):
        market.load(Market(source="files"))
    data = read(columns={"session": "Handelstag", "close": "Kurs", "volume": "Umsatz"})
    assert data.bars.select("close", "volume").rows() == [(10.0, 5.0), (11.0, 6.0)]


def test_a_stated_place_goes_before_the_usual_name(bars_folder):
    put(bars_folder, "A.csv", "date,close,settle\n2020-01-02,10,12\n")
    data = read(columns={"close": "settle"})
    assert data.bars["close"].to_list() == [12.0]
    assert found(data, "extra_columns") == ["ignored: close"]


def test_a_place_that_bars_and_quotes_do_not_have_is_refused(bars_folder):
    put(bars_folder, "A.csv", "date,close\n2020-01-02,10\n")
    with pytest.raises(BadParameters, match=r"`market.columns` must name columns.*'clsoe'; did you mean `close`"):
        read(columns={"clsoe": "close"})


def test_closes_are_as_quoted_unless_the_parameter_or_before_it_a_column_says_otherwise(bars_folder):
    put(bars_folder, "A.csv", "date,close\n2020-01-02,10\n")
    put(bars_folder, "B.csv", "date,close,quoted\n2020-01-02,10,true\n")
    assert read().bars["quoted"].to_list() == [True, True]
    assert read(quoted=False).bars.select("symbol", "quoted").rows() == [("A", False), ("B", True)]


@pytest.mark.parametrize("order, day", [("dmy", dt.date(2020, 4, 1)), ("mdy", None)], ids=["dmy", "mdy"])
def test_dates_that_read_both_ways_are_read_as_the_user_says(bars_folder, order, day):
    put(bars_folder, "A.csv", "date,close\n01/04/2020,10\n02/04/2020,11\n")
    with pytest.raises(BadData, match=r"Set `market.dates: dmy` or `mdy`"):
        market.load(Market(source="files"))
    sessions = read(dates=order).bars["session"].to_list()
    assert sessions == ([day, dt.date(2020, 4, 2)] if day else [dt.date(2020, 2, 4)])  # 4 January 2020 is a Saturday


def test_a_file_without_a_header_is_told_to_have_one(bars_folder):
    put(bars_folder, "A.csv", "2020.01.02,00:00,1.1,1.2,1.0,1.1,500\n2020.01.03,00:00,1.1,1.2,1.0,1.1,500\n")
    with pytest.raises(BadData, match="the first line must name the columns"):
        market.load(Market(source="files"))


def test_tickers_that_are_words_for_prices_are_symbols_among_others(bars_folder):
    (bars_folder / "closes.csv").write_text(
        "Date,AAPL,LOW,MSFT,OPEN,KO,PEP\n2020-01-02,1,2,3,4,5,6\n2020-01-03,1,2,3,4,5,6\n"
    )
    found = market.load(Market(source="files")).bars
    assert found["symbol"].unique().sort().to_list() == ["AAPL", "KO", "LOW", "MSFT", "OPEN", "PEP"]


@pytest.mark.parametrize("head", ["<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOLUME>", "DATE,OPEN,HIGH,LOW,CLOSE,VOLUME"])
def test_columns_of_prices_in_capitals_are_no_symbols(bars_folder, head):
    (bars_folder / "A.csv").write_text(f"{head}\n2020-01-02,10,12,9,11,500\n")
    (bar,) = market.load(Market(source="files")).bars.iter_rows(named=True)
    assert [bar[name] for name in ("symbol", "open", "high", "low", "close", "volume")] == ["A", 10, 12, 9, 11, 500]


def test_forms_of_dates_that_are_mixed_in_a_file_are_both_named(bars_folder):
    (bars_folder / "A.csv").write_text("Date,Close\n2020-01-02,10\n2020-01-03,11\n01/13/2020,12\n")
    with pytest.raises(
        BadData, match=r"row 3: dates must have one form in a file, but '01/13/2020' and '2020-01-0[23]'"
    ):
        market.load(Market(source="files"))


@pytest.mark.parametrize("where", ["first line", "later"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_text_that_is_not_utf_8_says_so_wherever_it_is(bars_folder, where, ending):
    row = "2020-01-02,10,Énergie\n"
    text = ("Date,Close,Sektör\n" if where == "first line" else "Date,Close,Sector\n") + row * 3
    raw = text.encode("latin-1")
    (bars_folder / f"A.{ending}").write_bytes(gzip.compress(raw) if ending.endswith("gz") else raw)
    with pytest.raises(BadData, match=r"text must be UTF-8, but is not\. Save it as UTF-8"):
        market.load(Market(source="files"))


def test_a_column_without_a_name_is_called_so(bars_folder):
    (bars_folder / "A.csv").write_text("Date,Close,\n2020-01-02,10,\n")
    found = market.load(Market(source="files")).findings
    assert found.filter(rule="extra_columns")["detail"].item() == "ignored: a column without a name"
