"""A split of shares that are held multiplies the position, at the broker and in the ledger, and makes no profit."""

import datetime as dt
from types import SimpleNamespace

import polars as pl
import pytest
import season
from season import DAYS, day, settings_of

from bq.core import files
from bq.strategies.desk import Entry, Kind
from bq.strategies.forecast.desk import ForecastDesk
from bq.trading import costs, curve, dry_run, journal, positions, split
from bq.trading.reconcile import Difference

ACCOUNT, NAMESPACE = f"dry-run.{season.NAMESPACE}", str(season.NAMESPACE)
ALONE = {"tracks": [{"name": "ButterAI", "share": 1.0, "decides": "champion"}]}
TWO = [{"name": "A", "share": 0.5, "decides": "rule"}, {"name": "B", "share": 0.5, "decides": "rule"}]


class SplitDesk(season.ToyDesk):
    """S1 is split on the fourth day; its price is that of before, divided."""

    factor = 2.0

    def entry(self, event):
        return Entry(Kind.OPEN)

    def exit(self, position, mark, session):
        return None

    def split(self, symbol, session):
        return self.factor if (symbol, session) == ("S1", DAYS[3]) else 1.0

    def quote(self, event, session):
        quote = super().quote(event, session)
        if event["symbol"] != "S1" or session < DAYS[3]:
            return quote
        return quote._replace(mid=quote.mid / self.factor, legs=(quote.legs[0] / self.factor,))


def held():
    return {one.symbol: (one.units, one.price) for one in positions.held(ACCOUNT, NAMESPACE)}


@pytest.mark.parametrize(("factor", "shares"), [(2.0, 8), (0.5, 2), (1.5, 6)], ids=["2-for-1", "reverse", "3-for-2"])
def test_a_position_is_multiplied_and_is_worth_what_it_was(factor, shares, monkeypatch):
    monkeypatch.setattr(SplitDesk, "factor", factor)
    settings = settings_of(**ALONE)
    day(DAYS[0], settings, ["S1", "S2"], desk=SplitDesk())
    for session in DAYS[1:3]:
        day(session, settings, desk=SplitDesk())
    before = held()
    made = day(DAYS[3], settings, desk=SplitDesk())
    assert made.reconciled.holds and [(one.held.symbol, one.shares) for one in made.split] == [("S1", shares - 4)]
    assert held() == {"S1": (shares, round(before["S1"][1] * 4 / shares)), "S2": before["S2"]}
    usual = [season.price(symbol, DAYS[3]) - season.price(symbol, DAYS[1]) for symbol in ("S1", "S2")]
    ends = curve.running(ACCOUNT, NAMESPACE)["pnl"][-1]
    assert ends == pytest.approx(4 * sum(usual) - 2.0, abs=0.002)  # two fees of 1
    assert not day(DAYS[4], settings, desk=SplitDesk()).split
    booked = journal.read(ACCOUNT, NAMESPACE).fills.filter(session=DAYS[3])
    assert booked.select("contract", "quantity", "cash").rows() == [("S1", shares - 4, 0.0)]
    (cost,) = costs.of(SplitDesk(), ACCOUNT, NAMESPACE)
    assert (cost.orders, cost.paid) == (2, pytest.approx(0.0, abs=0.01))


def test_what_a_split_does_not_explain_stays_a_difference():
    settings = settings_of(**ALONE)
    day(DAYS[0], settings, ["S1"], desk=SplitDesk())
    for session in DAYS[1:3]:
        day(session, settings, desk=SplitDesk())
    path = dry_run.state_file(ACCOUNT)
    files.write_json(path, files.read_json(path) | {"held": {"S1": 5}})
    made = day(DAYS[3], settings, desk=SplitDesk())
    assert not made.split and not made.reconciled.holds


def test_two_tracks_that_hold_a_name_are_both_multiplied_and_each_by_whole_shares():
    def position(track, units):
        legs = season.ToyDesk().legs({"symbol": "S1"})
        return SimpleNamespace(owner=SimpleNamespace(track=track), units=units, legs=legs)

    mine = [position("A", 5), position("B", 3)]
    whole = Difference("S1", 8, 16)
    found = split.explained((whole,), lambda day: mine, SplitDesk(), list(DAYS[:5]))
    assert [(one.held.owner.track, one.shares) for one in found] == [("A", 5), ("B", 3)]
    assert split.explained((whole,), lambda day: mine, SplitDesk(), list(DAYS[4:8])) == []
    assert split.explained((Difference("S1", 8, 15),), lambda day: mine, SplitDesk(), list(DAYS[:5])) == []


def test_a_forecast_s_desk_knows_a_split_by_the_bars():
    days = [dt.date(2020, 1, 6) + dt.timedelta(days=n) for n in range(5)]
    close = [100.0, 102.0, 51.5, 51.0, 52.0]
    bars = pl.DataFrame(
        {"symbol": "A", "session": days, "open": close, "close": close, "adj": [0.5, 0.5, 1.0, 1.0, 1.002]}
    )
    desk = ForecastDesk(SimpleNamespace(calendar="XNYS", bars=bars), SimpleNamespace())
    assert [desk.split("A", session) for session in days] == [1.0, 1.0, 2.0, 1.0, 1.0]
    assert desk.split("B", days[2]) == 1.0
