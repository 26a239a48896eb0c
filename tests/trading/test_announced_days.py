"""Earnings and ex-dividend days that the user supplies keep a position from being opened over them."""

import datetime as dt

import pytest
import season
from season import DAYS, settings_of, trader_at

from bq.core import files, paths
from bq.core.errors import BadData
from bq.market import announced
from bq.market.announced import Announced, Day, Kind
from bq.strategies.desk import Levels
from bq.trading import daily
from bq.trading.gates import Refusal

ALONE = {"tracks": [{"name": "ButterAI", "share": 1.0, "decides": "champion"}]}
UNTIL = DAYS[9]  # the latest session in which it would be held


class Ends(season.ToyDesk):
    def levels(self, position, session):
        return Levels(until=UNTIL)


def opened(symbol, *days, spot=98.0, monkeypatch):
    """Why a position in a symbol is not opened at the close of the first day; nothing: it is."""
    monkeypatch.setattr(season, "SPOT", {(DAYS[0], False): spot})
    trader = trader_at(DAYS[0], settings_of(**ALONE), desk=Ends())._replace(dates=Announced({symbol: days}))
    scan = season.scanned(DAYS[0], [symbol])
    made = daily.trade(trader, scan, lambda: season.events(DAYS[0], [symbol]))
    return [why for _, why in made.entered[0].refused]


EARNINGS, DIVIDEND = Kind.EARNINGS, Kind.EX_DIVIDEND


@pytest.mark.parametrize(
    ("symbol", "day", "spot", "why"),
    [
        pytest.param("FLY", Day(DAYS[3], EARNINGS), 98.0, [Refusal.EARNINGS], id="earnings-inside"),
        pytest.param("S1", Day(UNTIL, EARNINGS), 98.0, [Refusal.EARNINGS], id="earnings-on-the-last-day-of-shares"),
        pytest.param("FLY", Day(DAYS[10], EARNINGS), 98.0, [], id="earnings-after-it"),
        pytest.param("FLY", Day(DAYS[0], EARNINGS), 98.0, [], id="earnings-before-it-is-held"),
        pytest.param("FLY", Day(DAYS[3], EARNINGS, known=DAYS[1]), 98.0, [], id="not-announced-yet"),
        pytest.param("FLY", Day(DAYS[3], EARNINGS, known=DAYS[0]), 98.0, [Refusal.EARNINGS], id="announced-today"),
        pytest.param("FLY", Day(DAYS[3], DIVIDEND), 103.0, [Refusal.EX_DIVIDEND], id="short-call-in-the-money"),
        pytest.param("FLY", Day(DAYS[3], DIVIDEND), None, [Refusal.EX_DIVIDEND], id="price-not-known"),
        pytest.param("FLY", Day(DAYS[3], DIVIDEND), 100.0, [], id="short-call-at-the-money"),
        pytest.param("S1", Day(DAYS[3], DIVIDEND), 103.0, [], id="shares-alone"),
    ],
)
def test_what_is_announced_for_the_holding_time_refuses(symbol, day, spot, why, monkeypatch):
    assert opened(symbol, day, spot=spot, monkeypatch=monkeypatch) == why


def test_the_user_s_file_is_read_by_symbol_and_a_wrong_row_is_named():
    assert announced.load() == announced.NOTHING
    path = paths.raw_announced()
    path.parent.mkdir(parents=True)
    files.write_text(
        path, "symbol,date,kind,known\nAAPL,2024-05-02,earnings,2024-04-01\nAAPL,2024-05-10,ex_dividend,\n"
    )
    found = announced.load()
    assert found.days == {
        "AAPL": (
            Day(dt.date(2024, 5, 2), EARNINGS, dt.date(2024, 4, 1)),
            Day(dt.date(2024, 5, 10), DIVIDEND),
        )
    }
    files.write_text(path, "symbol,date,kind\nAAPL,2024-05-02,earnings\nAAPL,soon,earnings\n")
    with pytest.raises(BadData, match=r"announced\.csv, line 3: .*soon"):
        announced.load()
    files.write_text(path, "symbol,date\nAAPL,2024-05-02\n")
    with pytest.raises(BadData, match="kind is missing"):
        announced.load()
