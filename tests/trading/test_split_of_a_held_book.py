"""A split of shares that are held multiplies the position, at the broker and in the ledger, and makes no profit."""

import contextlib
import datetime as dt
import itertools
import shutil
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import season
from season import DAYS, day, settings_of

from bq.core import db, files
from bq.strategies.breakout.backtest import signals
from bq.strategies.breakout.desk import BreakoutDesk
from bq.strategies.desk import Entry, Exit, Kind
from bq.strategies.forecast.desk import ForecastDesk
from bq.trading import costs, curve, daily, dry_run, journal, positions, split
from bq.trading.reconcile import Difference
from tests.strategies.breakout_samples import breakout_settings, days_of, market_of, random_frame

ACCOUNT, NAMESPACE = f"dry-run.{season.NAMESPACE}", str(season.NAMESPACE)
ALONE = {"tracks": [{"name": "ButterAI", "share": 1.0, "decides": "champion"}]}
LEAVING = Exit("average", Kind.OPEN)
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


class Stopped(Exception):
    """What a run is stopped by."""


class WithLimits(SplitDesk):
    """Orders for other names than S1 have limits, which are moved step by step."""

    def entry(self, event):
        return super().entry(event) if event["symbol"] == "S1" else season.ToyDesk.entry(self, event)


def test_a_day_that_is_begun_again_after_any_change_of_the_broker_splits_once(tmp_path, monkeypatch):
    settings, desk, save = settings_of(**ALONE), WithLimits(), dry_run.DryRun._save
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "before"))
    for session in DAYS[:3]:
        day(session, settings, {DAYS[0]: ["S1"], DAYS[2]: ["GNAT", "FLY"]}.get(session, ()), desk=desk)
    for number in itertools.count(1):
        db.close()
        home = shutil.copytree(tmp_path / "before", tmp_path / str(number))
        monkeypatch.setenv("BQ_HOME", str(home))
        changes = itertools.count(1)

        def saved(broker, changes=changes, number=number):
            save(broker)
            if next(changes) == number:
                raise Stopped

        with monkeypatch.context() as patch, contextlib.suppress(Stopped):
            patch.setattr(dry_run.DryRun, "_save", saved)
            day(DAYS[3], settings, desk=desk)
            break
        assert day(DAYS[3], settings, desk=desk).reconciled.holds
        assert held()["S1"][0] == files.read_json(dry_run.state_file(ACCOUNT))["held"]["S1"] == 8, number
    assert number > 3


def test_what_was_sold_on_the_day_of_a_split_was_of_old_shares_and_what_came_is_booked(monkeypatch):
    """Sold: 4 of the 8 that there are. The other 4 are held, at half of what was paid, and sold the day after."""
    monkeypatch.setattr(
        SplitDesk, "exit", lambda self, position, mark, session: LEAVING if session >= DAYS[2] else None
    )
    settings = settings_of(**ALONE)
    day(DAYS[0], settings, ["S1"], desk=SplitDesk())
    for session in DAYS[1:3]:
        day(session, settings, desk=SplitDesk())
    paid = held()["S1"][1]
    made = day(DAYS[3], settings, desk=SplitDesk())
    assert made.reconciled.holds and [one.shares for one in made.split] == [4]
    assert held() == {"S1": (4, round(paid / 2))}
    day(DAYS[4], settings, desk=SplitDesk())
    assert held() == {}
    sold = 4 * season.price("S1", DAYS[3]) / 2 + 4 * season.price("S1", DAYS[4]) / 2
    ends = curve.running(ACCOUNT, NAMESPACE)["pnl"][-1]
    assert ends == pytest.approx(sold - 4 * season.price("S1", DAYS[1]) - 3.0, abs=0.002)  # three fees of 1


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


# ---- breakouts, whose measures are continuous


def breakouts_of(frames, **splits):
    """A desk over a market in which a symbol is split on a day: factor new shares at a price so much lower."""
    cut = {}
    for symbol, frame in frames.items():
        session, factor = splits.get(symbol, (DAYS[0], 1.0))
        after = pl.when(pl.col("session") >= session).then(factor).otherwise(1.0)
        prices = [(pl.col(name) / after).alias(name) for name in ("open", "high", "low", "close")]
        cut[symbol] = frame.with_columns(*prices, pl.col("volume") * after, adj=after / factor)
    return BreakoutDesk(market_of(cut), breakout_settings(exit={"max_holding_days": 12}))


@pytest.fixture(scope="module")
def rising():
    """Bars of two symbols, and the first breakout of one after which it is held for at least five sessions."""
    rng = np.random.default_rng(11)
    frames = {name: random_frame(rng, days_of(220, first=DAYS[0]), drift=0.002) for name in ("AAA", "BBB")}
    return frames


def traded(desk, home, monkeypatch, event, last):
    """Trade one event day by day, as its only decision; positions by session, and P&L at the end."""
    monkeypatch.setenv("BQ_HOME", str(home))
    settings, found = settings_of(**ALONE), {}
    events = pl.DataFrame([event])
    for session in [one for one in DAYS if event["session"] <= one <= last]:
        scan = season.scanned(session, [event["symbol"]]) if session == event["session"] else None
        if scan is not None:
            scan = scan._replace(decisions=scan.decisions.with_columns(event_id=pl.lit(event["event_id"])))
        made = daily.trade(season.trader_at(session, settings, desk=desk), scan, lambda: events)
        assert made.reconciled.holds, session
        found[session] = [(one.held.units, one.held.price / 1e4, one.value / 1e4) for one in made.held]
    ends = curve.running(ACCOUNT, NAMESPACE)["pnl"][-1]
    db.close()
    return found, ends


def test_a_breakout_that_is_split_makes_what_it_would_have_made(rising, tmp_path, monkeypatch):
    desk = breakouts_of(rising)
    known = signals(desk._prepared, desk._settings)
    calendar, names = desk._prepared.sessions.astype(dt.date), desk._prepared.symbols
    k = next(k for k in range(len(known.session)) if known.session[k] > 120)
    symbol, at = names[known.symbol[k]], known.session[k]
    event = {"event_id": "b" * 16, "symbol": symbol, "session": calendar[at], "kind": "fast", "source": "simulated"}
    day_of, last = calendar[at + 3], calendar[at + 14]
    whole, made = traded(desk, tmp_path / "whole", monkeypatch, event, last)
    halved = breakouts_of(rising, **{symbol: (day_of, 2.0)})
    parts, same = traded(halved, tmp_path / "split", monkeypatch, event, last)
    assert len(whole[day_of]) == 1 and whole[last] == []
    for session in whole:
        factor = 2 if session >= day_of else 1
        expected = [
            (units * factor, pytest.approx(price / factor, abs=1e-4), pytest.approx(value, abs=0.05))
            for units, price, value in whole[session]
        ]
        assert parts[session] == expected, session
    assert same == pytest.approx(made, abs=0.2)  # prices are kept in hundredths of a cent, of hundreds of shares
    quoted = halved._market.bars.filter(symbol=symbol, session=day_of)["close"][0]
    assert halved.quote(event, day_of).mid == pytest.approx(quoted)
