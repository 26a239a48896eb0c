"""Quotes as vendors ship them: each layout, written here with the same two quotes, gives the same quotes."""

import datetime as dt

import polars as pl
import pytest

from bq import market
from bq.core.errors import BadData
from bq.core.settings import Market
from bq.market.chains import read_chains

DAY, EXPIRY = dt.date(2020, 1, 2), dt.date(2020, 2, 21)
QUOTES = [("call", 325.0, 5.61, 5.65, 324.87), ("put", 325.0, 6.32, 6.37, 324.87)]
OPTIONS_DX = """\
[QUOTE_UNIXTIME], [QUOTE_READTIME], [QUOTE_DATE], [QUOTE_TIME_HOURS], [UNDERLYING_LAST], [EXPIRE_DATE], [EXPIRE_UNIX], \
[DTE], [C_DELTA], [C_IV], [C_VOLUME], [C_LAST], [C_SIZE], [C_BID], [C_ASK], [STRIKE], [P_BID], [P_ASK], [P_SIZE], \
[P_LAST], [P_DELTA], [P_IV], [P_VOLUME], [STRIKE_DISTANCE], [STRIKE_DISTANCE_PCT]
1577998800, 2020-01-02 16:00, 2020-01-02, 16.000000, 324.870000, 2020-02-21, 1582318800, \
50.000000, 0.51, 0.11, 12.000000, 5.600000, 1 x 2, 5.610000, 5.650000, 325.000000, 6.320000, 6.370000, 1 x 2, \
6.300000, -0.49, 0.12, , 0.100000, 0.000000
"""
ORATS = """\
ticker,cOpra,pOpra,stkPx,expirDate,yte,strike,cVolu,cOi,pVolu,pOi,cBidPx,cValue,cAskPx,pBidPx,pValue,pAskPx,\
cBidIv,cMidIv,cAskIv,smoothSmvVol,iRate,divRate,delta,gamma,spot_px,trade_date
SPY,SPY200221C00325000,SPY200221P00325000,324.99,2020-02-21,0.13,325,12,9,3,4,5.61,5.63,5.65,6.32,6.35,6.37,\
.11,.11,.11,.11,.01,.01,.5,.1,324.87,2020-01-02
"""
ORATS_INTERFACE = """\
ticker,tradeDate,expirDate,dte,strike,stockPrice,callVolume,callOpenInterest,putVolume,putOpenInterest,\
callBidPrice,callValue,callAskPrice,putBidPrice,putValue,putAskPrice,callBidIv,putBidIv
SPY,2020-01-02,2020-02-21,50,325,324.87,12,9,3,4,5.61,5.63,5.65,6.32,6.35,6.37,.11,.12
"""
OPTION_METRICS = """\
secid,date,symbol,symbol_flag,exdate,last_date,cp_flag,strike_price,best_bid,best_offer,volume,open_interest,\
impl_volatility,delta,optionid,cfadj,am_settlement,ss_flag,root,ticker
109820,2020-01-02,SPY 200221C325000,1,2020-02-21,2020-01-02,C,325000,5.61,5.65,12,9,.11,.5,1,1,0,0,,SPY
109820,2020-01-02,SPY 200221P325000,1,2020-02-21,2019-12-31,P,325000,6.32,6.37,3,4,.12,-.5,2,1,0,0,,SPY
"""
THETA_DATA = """\
root,expiration,strike,right,ms_of_day,ms_of_day2,open,high,low,close,volume,count,bid_size,bid_exchange,bid,\
bid_condition,ask_size,ask_exchange,ask,ask_condition,date
SPY,20200221,325000,C,62100000,57599000,5,6,5,5.6,12,3,1,1,5.61,50,1,1,5.65,50,20200102
SPY,20200221,325000,P,62100000,57599000,6,7,6,6.3,3,3,1,1,6.32,50,1,1,6.37,50,20200102
"""
DOLT = """\
date,act_symbol,expiration,strike,call_put,bid,ask,vol,delta
2020-01-02,SPY,2020-02-21,325.00,Call,5.61,5.65,.11,.5
2020-01-02,SPY,2020-02-21,325.00,Put,6.32,6.37,.12,-.5
"""
DECIMAL_COMMA = """\
quote_date;expiration;type;strike;bid;ask;underlying_last;symbol
2020-01-02;2020-02-21;call;325,0;5,61;5,65;324,87;SPY
2020-01-02;2020-02-21;put;325,0;6,32;6,37;324,87;SPY
"""
LAYOUTS = {
    "optionsdx": ("spy_eod_202001.txt", OPTIONS_DX, "OptionsDX"),
    "orats": ("ORATS_SMV_Strikes_20200102.csv", ORATS, "ORATS"),
    "orats-interface": ("orats.csv", ORATS_INTERFACE, "ORATS"),
    "optionmetrics": ("opprcd2020.csv", OPTION_METRICS, "OptionMetrics"),
    "thetadata": ("eod.csv", THETA_DATA, "ThetaData"),
    "dolthub": ("option_chain.csv", DOLT, None),
    "decimal-comma": ("chain.csv", DECIMAL_COMMA, None),
}
BARS = "symbol,date,close\nSPY,2020-01-02,324.87\nSPY,2020-01-03,322.41\n"
HEADER = "underlying,session,expiry,right,strike,bid,ask,spot"


@pytest.fixture
def chains_folder(bars_folder):
    (bars_folder / "all.csv").write_text(BARS)
    folder = bars_folder.parent / "chains"
    folder.mkdir()
    return folder


def read(**options):
    return market.read(Market(source="files", chains=True, **options))


def found(data, rule):
    return data.chain_data.findings.filter(pl.col("rule") == rule)


@pytest.mark.parametrize("name, text, layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_vendors_layout_gives_the_quotes_that_are_in_it(chains_folder, name, text, layout):
    (chains_folder / name).write_text(text)
    data = read()
    assert data.quotes.select("right", "strike", "bid", "ask", "spot").rows() == QUOTES
    assert data.quotes.select("underlying", "root", "session", "expiry").unique().rows() == [
        ("SPY", "SPY", DAY, EXPIRY)
    ]
    said = found(data, "layout")["detail"].to_list()
    assert said == ([f"read as {layout}"] if layout else [])


@pytest.mark.parametrize("text", [OPTION_METRICS, THETA_DATA, DOLT], ids=["optionmetrics", "thetadata", "dolthub"])
def test_where_no_column_says_the_spot_it_is_the_bars_close_and_that_is_said(chains_folder, text):
    (chains_folder / "chain.csv").write_text(text)
    data = read()
    assert data.quotes["spot"].to_list() == [324.87] * 2 and len(found(data, "spot_from_bars")) == 1
    (alone,) = read_chains().findings.filter(action="rejected")["detail"]
    assert "`spot`" in alone and "must be there" in alone


def test_the_root_of_a_contract_says_its_settlement(chains_folder):
    text = OPTION_METRICS.replace("SPY 200221", "SPXW  200221").replace(",SPY\n", ",SPX\n")
    (chains_folder / "chain.csv").write_text(text)
    (chains_folder.parent / "bars" / "all.csv").write_text(BARS.replace("SPY", "SPX"))
    quotes = read().quotes
    assert quotes.select("underlying", "root", "settlement").unique().rows() == [("SPX", "SPXW", "PM")]


def test_one_column_of_dates_settles_the_order_of_the_other(chains_folder):
    rows = ["SPY,02/01/2020,21/02/2020,call,325,5.61,5.65,324.87", "SPY,02/01/2020,20/03/2020,put,325,6.3,6.4,324.87"]
    (chains_folder / "chain.csv").write_text("\n".join([HEADER, *rows]))
    assert read().quotes["session"].to_list() == [DAY] * 2


@pytest.mark.parametrize("bar, quote", [("SPY", "spy"), ("^SPX", "SPX"), ("spx", "^SPX")], ids=str)
def test_an_underlying_that_differs_by_case_or_caret_is_that_of_the_bars(chains_folder, bar, quote):
    (chains_folder.parent / "bars" / "all.csv").write_text(BARS.replace("SPY", bar))
    (chains_folder / "chain.csv").write_text(f"{HEADER}\n{quote},{DAY},{EXPIRY},call,325,5.61,5.65,324.87\n")
    data = read()
    assert data.quotes["underlying"].to_list() == [bar]
    assert found(data, "spelling")["detail"].to_list() == [f"{quote} is taken for {bar} of the bars"]
    assert data.chain_data.counts["kept"].to_list() == [1]


def test_an_underlying_that_could_be_two_of_the_bars_is_none_of_them(chains_folder):
    (chains_folder.parent / "bars" / "all.csv").write_text(BARS + BARS.split("\n", 1)[1].replace("SPY", "sPy"))
    (chains_folder / "chain.csv").write_text(f"{HEADER}\nspy,{DAY},{EXPIRY},call,325,5.61,5.65,324.87\n")
    assert read().quotes.is_empty()


def test_a_chain_none_of_whose_underlyings_has_bars_is_refused_with_the_nearest(chains_folder):
    (chains_folder / "chain.csv").write_text(f"{HEADER}\nSPYY,{DAY},{EXPIRY},call,325,5.61,5.65,324.87\n")
    with pytest.raises(BadData, match=r"underlyings must have bars, but SPYY has none; did you mean `SPY`\?"):
        market.load(Market(source="files", chains=True))
    assert read(symbols=["SPY"]).chain_data.counts.select("symbol", "read", "not_asked").rows() == [("SPYY", 1, 1)]


def test_a_file_without_bars_beside_one_with_them_is_said_and_counted(chains_folder):
    (chains_folder / "chain.csv").write_text(DECIMAL_COMMA)
    (chains_folder / "QQQ.csv").write_text(f"{HEADER}\nQQQ,{DAY},{EXPIRY},call,325,5.61,5.65,324.87\n")
    data = market.load(Market(source="files", chains=True))
    assert found(data, "no_bars").select("file", "action").rows() == [("QQQ.csv", "flagged")]
    assert data.chain_data.counts.select("file", "read", "kept", "not_asked").rows() == [
        ("QQQ.csv", 1, 0, 1),
        ("chain.csv", 2, 2, 0),
    ]


def test_quotes_outside_the_dates_are_counted(chains_folder):
    rows = [f"SPY,{day},{EXPIRY},call,325,5.61,5.65,324.87" for day in (DAY, dt.date(2020, 1, 3))]
    (chains_folder / "chain.csv").write_text("\n".join([HEADER, *rows]))
    data = read(end=DAY)
    assert data.chain_data.counts.select("read", "outside", "kept").rows() == [(2, 1, 1)]


def chain(spot, *, strikes=range(320, 330), day=DAY):
    return [f"SPY,{day},{EXPIRY},call,{strike},5.61,5.65,{spot}" for strike in strikes]


@pytest.mark.parametrize(
    "spot, action",
    [
        (324.87, None),
        (331.3, None),
        (331.5, "flagged"),
        (357.3, "flagged"),
        (357.4, "quarantined"),
        (30.87, "quarantined"),
    ],
    ids=str,
)
def test_a_spot_is_held_against_the_bars_close_of_its_session(chains_folder, spot, action):
    """2% of 324.87 is 6.4974, 10% is 32.487."""
    (chains_folder / "chain.csv").write_text("\n".join([HEADER, *chain(spot)]))
    off = found(read(), "spot_off_close")
    assert set(off["action"]) == ({action} if action else set())


def test_a_chain_of_another_security_than_the_bars_is_refused(chains_folder):
    (chains_folder / "chain.csv").write_text("\n".join([HEADER, *chain(30.87)]))
    with pytest.raises(BadData, match=r"10 of 10 are \(100.0%\): spot_off_close 10"):
        market.load(Market(source="files", chains=True))


def test_closes_that_were_not_quoted_are_not_compared(chains_folder):
    (chains_folder.parent / "bars" / "all.csv").write_text("symbol,date,close,quoted\nSPY,2020-01-02,81.2,false\n")
    (chains_folder / "chain.csv").write_text("\n".join([HEADER, *chain(324.87)]))
    assert len(read().quotes) == 10


@pytest.mark.parametrize("factor", [1000, 0.001], ids=["thousandfold", "thousandth"])
def test_strikes_in_another_unit_than_the_spot_are_refused(chains_folder, factor):
    strikes = [strike * factor for strike in range(320, 330)]
    (chains_folder / "chain.csv").write_text("\n".join([HEADER, *chain(324.87, strikes=strikes)]))
    wrong = found(read(), "strike_scale")
    assert wrong["rows"].sum() == 10 and set(wrong["action"]) == {"quarantined"}
    assert "strikes must be in the unit of the spot" in wrong["detail"][0]


def test_one_underlying_cannot_come_from_the_names_of_two_files(chains_folder):
    text = DECIMAL_COMMA.replace(";symbol", "").replace(";SPY", "")
    for name in ("SPY/SPY.csv", "QQQ/SPY.csv"):
        (chains_folder / name).parent.mkdir()
        (chains_folder / name).write_text(text)
    refused = found(read(), "symbol_not_unique")
    assert refused.select("file", "action").rows() == [("QQQ/SPY.csv", "rejected"), ("SPY/SPY.csv", "rejected")]


def test_files_that_a_vendor_names_after_the_underlying_may_lie_in_several_folders(chains_folder):
    for folder in ("first", "second"):
        (chains_folder / folder).mkdir()
    (chains_folder / "first" / "spy_eod_202001.txt").write_text(OPTIONS_DX)
    text = OPTIONS_DX.replace("2020-01-02", "2020-01-03").replace("324.870000", "322.410000")
    (chains_folder / "second" / "spy_eod_202002.txt").write_text(text)
    assert len(market.load(Market(source="files", chains=True)).quotes) == 4


@pytest.mark.parametrize(
    "root, underlying",
    [("700", "700"), ("AAPL1", "AAPL"), ("SPXW", "SPX"), ("9988", "9988")],
    ids=str,
)
def test_a_root_keeps_the_digits_that_are_its_tickers(chains_folder, root, underlying):
    text = f"root,session,expiry,right,strike,bid,ask,spot\n{root},{DAY},{EXPIRY},call,325,5.61,5.65,324.87\n"
    (chains_folder / "chain.csv").write_text(text)
    assert read_chains().quotes["underlying"].to_list() == [underlying]


def test_numbers_with_two_decimal_marks_are_refused(chains_folder):
    (chains_folder / "chain.csv").write_text(DECIMAL_COMMA.replace("325,0", "325.0"))
    assert len(found(read(), "mixed_decimals")) == 1
