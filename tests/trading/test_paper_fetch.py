"""Bars and option quotes from the stand-in: complete, paced, resumed, and marked by what they are."""

import datetime as dt
import itertools

import polars as pl
import pytest
import season
from gateway.book import Listing
from paper import ALONE, Paper
from season import settings_of

from bq import market
from bq.core import files
from bq.core.settings import Market
from bq.jobs import fetch
from bq.market.calendars import sessions
from bq.trading.ibkr import fetching, pace
from bq.trading.ibkr.catalogue import Catalogue
from bq.trading.ibkr.fetching import BARS, Fetcher
from bq.trading.ibkr.listing import Chain

START, NEWEST = dt.date(2017, 1, 3), dt.date(2019, 3, 29)
DAYS = sessions("XNYS").filter(pl.col("session").is_between(START, dt.date(2019, 12, 31)))["session"].to_list()


class Clock:
    """Seconds that pass by sleeping alone."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def sleep(self, seconds):
        """Let them pass."""
        self.slept.append(seconds)
        self.now += seconds


class History:
    """What the gateway knows of a symbol; splits : on a day, everything before becomes a half."""

    def __init__(self, clock, *, through, split=None, violations=0):
        self.clock, self.through, self.split, self.violations, self.asked = clock, through, split, violations, []

    def close(self, day):
        """As adjusted for splits today."""
        halved = self.split is not None and self.split <= self.through and day < self.split
        return round((100.0 + 0.1 * DAYS.index(day)) / (2.0 if halved else 1.0), 4)

    def __call__(self, contract, end, span, what):
        """The rows of a request, or an error."""
        self.asked.append((self.clock.now, contract.symbol, end, span, what))
        if self.violations:
            self.violations -= 1
            return 162, "Historical Market Data Service error message:Historical data request pacing violation"
        last = dt.datetime.strptime(end.split()[0], "%Y%m%d").date() if end else self.through
        days = int(span.split()[0]) * (365 if span.endswith("Y") else 1)
        wanted = [day for day in DAYS if last - dt.timedelta(days=days) <= day <= min(last, self.through)]
        if contract.symbol == "S2" or not wanted:
            return 162, "Historical Market Data Service error message:HMDS query returned no data"
        factor = 0.9 if what == "ADJUSTED_LAST" else 1.0
        rows = []
        for day in wanted:
            close = self.close(day) * factor
            rows.append((f"{day:%Y%m%d}", close, close + 1.0, close - 1.0, close, 1000, close, 10))
        return rows


@pytest.fixture
def account(port):
    """An account whose gateway has a history."""
    made = Paper(port, settings_of(**ALONE))
    made.clock = Clock()
    made.gateway.historical = History(made.clock, through=NEWEST)
    yield made
    made.gateway.stop()


def fetched(account, symbol="S1", *, start=START, newest=NEWEST):
    """A fetch of what is missing."""
    wire, clock = account.wire(), account.clock
    try:
        now = dt.datetime.combine(newest, dt.time(22), dt.UTC)
        fetcher = Fetcher(wire, now=lambda: now, clock=lambda: clock.now, sleep=clock.sleep)
        asked = fetching.plan(fetch.known(symbol, start), start, newest)
        return fetch.fetched(fetcher, symbol, asked, start=start, newest=newest)
    finally:
        wire.close()


def test_bars_are_complete_and_hold_as_files(account):
    bars = fetched(account)
    wanted = [day for day in DAYS if day <= NEWEST]
    assert bars["session"].to_list() == wanted
    assert bars["close"].to_list() == pytest.approx([100.0 + 0.1 * number for number in range(len(wanted))])
    assert (bars["adj_close"] / bars["close"]).to_list() == pytest.approx([0.9] * len(wanted))
    assert bars.filter("quoted")["session"].to_list() == [NEWEST]  # fetched on its day: no split lies between
    data = market.load(Market(source="files", start=START, symbols=["S1"]))
    assert data.bars["session"].to_list() == wanted and data.findings.filter(action="quarantined").is_empty()


def test_a_fetch_is_taken_up_where_it_ended_and_asks_for_no_more(account):
    fetched(account, newest=dt.date(2018, 6, 29))
    first = len(account.gateway.historical.asked)
    whole = fetched(account)
    spans = [span for _, _, _, span, what in account.gateway.historical.asked[first:] if what == "TRADES"]
    assert spans == ["283 D"]  # from ten days before what is known
    assert whole["session"].to_list() == [day for day in DAYS if day <= NEWEST]
    assert whole.filter("quoted")["session"].to_list() == [dt.date(2018, 6, 29), NEWEST]
    again = len(account.gateway.historical.asked)
    fetched(account)
    assert len(account.gateway.historical.asked) == again


def test_a_fetch_that_was_stopped_keeps_what_it_had(account, monkeypatch):
    account.gateway.historical.violations = 0
    ask, calls = Fetcher.bars, []

    def stopped(self, symbol, asked):
        calls.append(asked)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return ask(self, symbol, asked)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Fetcher, "bars", stopped)
        fetched(account)
    kept = fetch.known("S1", START)["session"].max()
    assert dt.date(2017, 12, 1) < kept < NEWEST
    assert fetched(account)["session"].to_list() == [day for day in DAYS if day <= NEWEST]


def test_after_a_split_all_of_a_symbol_is_fetched_anew(account):
    fetched(account, newest=dt.date(2018, 6, 29))
    account.gateway.historical.split = dt.date(2018, 9, 3)
    bars = fetched(account)
    halved = bars.filter(pl.col("session") < dt.date(2018, 9, 3))
    assert halved["close"][0] == 50.0 and not halved["quoted"].any()
    assert (bars["close"].diff().abs().max() or 0.0) > 30.0 and bars["session"].n_unique() == len(bars)


def test_a_pacing_violation_is_waited_out_and_no_data_is_no_bars(account):
    account.gateway.historical.violations = 2
    assert len(fetched(account)) == len([day for day in DAYS if day <= NEWEST])
    assert sum(account.clock.slept) >= 2 * pace.IDENTICAL_SECONDS
    assert len(fetched(account, "S2")) == 0


def test_requests_keep_every_limit_of_the_pace():
    clock, kept, sent = Clock(), pace.Pace(), []
    for number in range(200):
        contract, request = f"S{number % 3}", f"{number // 7}"
        clock.sleep(kept.wait(contract, request, now=clock.now))
        kept.sent(contract, request, now=clock.now)
        sent.append((clock.now, contract, request))
        clock.now += 0.01
    times = [at for at, *_ in sent]
    assert all(later - at >= 600.0 - 1e-9 for at, later in zip(times, times[60:], strict=False))
    for name in ("S0", "S1", "S2"):
        own = [at for at, contract, _ in sent if contract == name]
        assert all(later - at >= 2.0 - 1e-9 for at, later in zip(own, own[5:], strict=False))
    for one in set(sent):
        same = sorted(at for at, *key in sent if tuple(key) == one[1:])
        assert all(later - at >= 15.0 - 1e-9 for at, later in itertools.pairwise(same))
    assert times[-1] < 200 / 60 * 600.0


def test_bid_and_ask_count_double():
    kept = pace.Pace()
    for number in range(30):
        kept.sent(f"{number}", "x", now=0.0, weight=2)
    assert kept.wait("other", "x", now=1.0) == 599.0


def test_the_quotes_of_a_session_hold_as_files(account):
    account.book.listings["S1"] = Listing(("20190418", "20191220"), (50.0, 150.0, 155.0, 160.0, 400.0), "S1")
    prices = {1: 1.0, 2: 1.2, 8: 30.0}
    account.gateway.quotes = lambda spec: {} if spec.strike == 160.0 and spec.right == "P" else prices
    bars = fetched(account)
    wire = account.wire()
    fetcher = Fetcher(wire, now=lambda: season.CLOSE[season.DAYS[0]])
    catalogue = Catalogue(wire)
    fetch.quotes(fetcher, catalogue, "S1", bars)
    fetch.quotes(fetcher, catalogue, "S1", bars)
    wire.close()
    (path,) = fetch.folder("chains").glob("*.parquet")
    found = files.read_parquet(path)
    assert set(found["strike"]) == {150.0, 155.0, 160.0} and set(found["expiry"]) == {dt.date(2019, 4, 18)}
    assert found.filter(pl.col("bid").is_null()).select("strike", "right").rows() == [(160.0, "put")]
    assert account.gateway.received[1] == 6
    data = market.load(Market(source="files", start=START, symbols=["S1"], chains=True))
    assert len(data.quotes) == 5 and set(data.quotes["bid"]) == {1.0} and set(data.quotes["ask"]) == {1.2}


def test_contracts_far_from_the_price_or_in_time_are_not_asked_for():
    chain = Chain("A", 100, (NEWEST, dt.date(2019, 4, 18), dt.date(2020, 1, 17)), (70.0, 80.0, 100.0, 125.0, 130.0))
    legs = fetching.wanted("A", [chain], spot=100.0, session=NEWEST)
    assert {leg.expiry for leg in legs} == {dt.date(2019, 4, 18)}
    assert sorted({leg.strike for leg in legs}) == [80.0, 100.0, 125.0] and len(legs) == 6


def test_where_a_fetch_stands_is_said_with_the_time_left():
    said = fetch.said("S1", BARS.to_frame(), 1, 3, 130)
    assert said == "S1: 0 bars (IBKR has none) · 1 of 3 · about 22 minutes left"
