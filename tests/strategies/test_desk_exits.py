"""A desk leaves a position when, and for the reason that, label and backtest do; at the same prices."""

import datetime as dt
import os
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from breakout_samples import breakout_settings, random_market
from event_samples import butterfly_settings, days, market_of, walk
from test_forecast_portfolio import forecasts
from test_forecast_portfolio import settings as forecast_settings

from bq.market.calendars import sessions
from bq.strategies.breakout.backtest import REASONS, follow, rules, signals
from bq.strategies.breakout.desk import BreakoutDesk
from bq.strategies.butterfly.desk import ButterflyDesk
from bq.strategies.butterfly.history import History
from bq.strategies.butterfly.modelled import Modelled
from bq.strategies.butterfly.structure import TYPES, Structure
from bq.strategies.butterfly.trade_path import outcomes, trade_path
from bq.strategies.desk import Asked, Kind, Position
from bq.strategies.forecast import portfolio
from bq.strategies.forecast.desk import ForecastDesk

FULL = bool(os.environ.get("BQ_FULL"))
HISTORIES = 1000 if FULL else 120  # of each strategy


def walked(desk, event, *, price, entered, sessions, stop=None):
    """The first session at whose close the desk closes a position, and why."""
    position = Position(event, 1, price, entered, stop)
    for session in sessions:
        wanted = desk.exit(position, desk.mark(position, session), session)
        if wanted is not None:
            return session, wanted
    return None


# ---- butterflies


@pytest.fixture(scope="module")
def flies():
    """Random histories of butterflies of every kind: markets that lose days, and end while a position is held."""
    settings, found = butterfly_settings("label.carry_sessions=3 label.take_profit=0.4"), []
    for number in range(HISTORIES // 40):
        rng = np.random.default_rng(number)
        calm = 0.002 if number % 4 == 2 else 0.012  # where nothing moves the most can be made
        level = 100.0 * np.exp(np.cumsum(calm * rng.standard_normal(260)))
        last = 170 if number % 4 == 1 else 260  # delisted
        h = history_of(level, kept=(rng.random(260) > (0.1 if number % 4 == 2 else 0.0)) & (np.arange(260) < last))
        first = len(h.session) - 50 if last < 260 else 10
        at = np.sort(rng.choice(np.arange(first, len(h.session) - 2), 40, replace=False))
        kind, dte = rng.integers(0, 3, 40), rng.choice([21, 30, 45], 40)
        body = np.rint(h.level[at] / 5.0) * 5.0
        structure = Structure(kind, body - 5.0, body, body + 5.0, dte)
        pricer = Modelled(h, settings)
        path = trade_path(h, at, structure, pricer, settings)
        made = outcomes(h, at, structure, path, pricer, settings)
        found += [_fly(h, at, structure, path, made, k, settings) for k in range(40)]
    return found


class Fly(NamedTuple):
    """An event with its desk, and what the label says of it."""

    desk: ButterflyDesk
    event: dict
    entered: dt.date | None
    left: dt.date | None
    known: dt.date | None
    reason: str
    debit: float
    risk: float
    outcome: float


def history_of(level, *, kept):
    calendar, nothing = days(500).to_numpy().astype("datetime64[D]"), np.full(kept.sum(), np.nan)
    level, session = level[kept], calendar[: len(kept)][kept]
    parts = (level, level, nothing, np.ones(len(level)), np.full(len(level), 0.2), nothing)
    return History("TOY", session, *parts, calendar, calendar[len(kept) - 1], 252)


def _fly(h, at, structure, path, made, k, settings):
    day = h.session[at[k]].astype(dt.date)
    event = {
        "symbol": "TOY",
        "session": day,
        "structure": TYPES[structure.type[k]],
        **{name: float(getattr(structure, name)[k]) for name in ("lower", "body", "upper")},
        "dte_days": int(structure.dte_days[k]),
        "expiry": day + dt.timedelta(days=int(structure.dte_days[k])),
        "root": None,
        "source": "simulated",
    }
    desk = ButterflyDesk(market_of(walk("TOY", 30, seed=1)), settings)
    desk._known["TOY"] = (h, Modelled(h, settings), None)
    entered, left = (h.session[i].astype(dt.date) if i >= 0 else None for i in (path.entry[k], path.exit[k]))
    known = None if np.isnat(path.known[k]) else path.known[k].astype(dt.date)
    numbers = (float(made[name][k]) for name in ("debit", "risk", "outcome"))
    return Fly(desk, event, entered, left, known, str(path.exit_reason[k]), *numbers)


@pytest.mark.calibration
def test_butterflies_are_left_when_and_why_their_label_says(flies):
    every, reasons = days(500), []
    for fly in flies:
        if fly.entered is None:
            continue
        after = every.filter((every > fly.entered) & (every <= every[259]))
        left = walked(fly.desk, fly.event, price=fly.debit, entered=fly.entered, sessions=after)
        if fly.known is None:
            assert left is None
            continue
        assert left is not None, fly.event
        assert (left[0], left[1].reason) == (fly.known, fly.reason), fly.event
        reasons.append(fly.reason)
    assert len(reasons) >= 0.7 * HISTORIES
    assert min(reasons.count(name) for name in ("take profit", "stop", "horizon", "last price")) >= 2


def test_a_butterfly_is_filled_at_the_label_s_prices(flies):
    for fly in [fly for fly in flies if fly.left is not None][:100]:
        ratios = [leg.ratio for leg in fly.desk.legs(fly.event)]
        kind = Kind.CLOSE if fly.reason == "last price" else Kind.LIMIT
        paid = np.dot(ratios, fly.desk.fill(fly.event, Asked(Kind.LIMIT, 1, True), fly.entered).legs)
        received = np.dot(ratios, fly.desk.fill(fly.event, Asked(kind, -1, False), fly.known).legs)
        assert (paid, (received - paid) / fly.risk) == pytest.approx((max(fly.debit, paid), fly.outcome), abs=1e-9)


@pytest.mark.parametrize("structure", TYPES)
def test_the_legs_of_a_butterfly_pay_what_its_structure_does(flies, structure):
    fly = next(fly for fly in flies if fly.event["structure"] == structure)
    legs, event = fly.desk.legs(fly.event), fly.event
    assert [leg.ratio for leg in legs] == ([1, -1, -1, 1] if structure == "IRON" else [1, -2, 1])
    width = event["upper"] - event["body"]
    for spot in (0.5 * event["lower"], event["body"], event["body"] + 0.4 * width, 2.0 * event["upper"]):
        values = [max(spot - leg.strike if leg.right == "C" else leg.strike - spot, 0.0) * leg.ratio for leg in legs]
        tent = max(width - abs(spot - event["body"]), 0.0)
        assert sum(values) == pytest.approx(tent - width if structure == "IRON" else tent)


# ---- breakouts


def breakouts(count):
    """(desk, prepared, signals, trades) of random markets, until there are so many signals."""
    found, seed = 0, 0
    while found < count:
        market, settings = random_market(seed), breakout_settings(exit={"max_holding_days": 15})
        desk = BreakoutDesk(market, settings)
        prepared = desk._prepared
        of_market = signals(prepared, settings)
        yield desk, prepared, of_market, follow(prepared, of_market, settings), rules(settings)
        found, seed = found + len(of_market.session), seed + 1


@pytest.mark.calibration
def test_breakouts_are_left_when_why_and_at_the_price_that_the_backtest_says():
    compared = dict.fromkeys(REASONS, 0)
    for desk, prepared, found, trades, _ in breakouts(HISTORIES):
        calendar = prepared.sessions.astype(dt.date)
        for k in range(len(found.session)):
            entry, leave = trades.when[k]
            reason = REASONS[trades.reasons[k]]
            if entry < 0 or leave < 0:
                continue
            event = {"session": calendar[found.session[k]], "symbol": prepared.symbols[found.symbol[k]]}
            unit = prepared.quoted[found.session[k], found.symbol[k]]
            unit /= prepared.measures.close[found.session[k], found.symbol[k]]
            got = lived(desk, event, calendar, entry, quantity=trades.numbers[k, 0] / unit)
            assert got[0] == reason, (event, got)
            if reason != "delisted":  # asked for at the close at which it is seen, so one session later
                assert got[1] == leave, (event, got)
                assert got[2] == pytest.approx(trades.numbers[k, 2] * unit, rel=1e-9), (event, got)
            compared[reason] += 1
    assert sum(compared.values()) >= 0.8 * HISTORIES
    assert min(compared[reason] for reason in ("stop", "average", "holding")) >= 10


def lived(desk, event, calendar, entry, *, quantity):
    """Reason, session and price of the exit, as a broker has it: orders of the evening, filled in the session."""
    opened = desk.fill(event, Asked(Kind.OPEN, quantity, True), calendar[entry])
    stop = opened.reference - desk.entry(event).stop_distance
    position, order = Position(event, quantity, opened.legs[0], calendar[entry], stop), None
    for t in range(entry, len(calendar)):
        session = calendar[t]
        stopped = desk.fill(event, Asked(Kind.STOP, -quantity, False, stop), session)
        at_open = (
            order is not None
            and order.kind == Kind.OPEN
            and desk.fill(event, Asked(Kind.OPEN, -quantity, False), session)
        )
        if stopped and not (at_open and at_open.reference > stop):
            return "stop", t, stopped.legs[0]
        if at_open:
            return order.reason, t, at_open.legs[0]
        if order is not None and order.kind == Kind.CLOSE:
            return order.reason, t, desk.fill(event, Asked(Kind.CLOSE, -quantity, False), session).legs[0]
        order = desk.exit(position, desk.mark(position, session), session)
    return "open", -1, np.nan


# ---- the forecast


@pytest.fixture(scope="module")
def panel():
    """Forecasts of 80 sessions, bars on which each name earns its outcome, and a desk over them."""
    predictions = forecasts(count=80, names=30).with_columns(event_id=pl.col("symbol"), source=pl.lit("simulated"))
    calendar = sessions("XNYS").filter(pl.col("session") >= predictions["session"].min()).head(100)
    flat = calendar.select("session").join(predictions.select("symbol").unique(), how="cross")
    bars = flat.with_columns(open=pl.lit(50.0), high=pl.lit(50.0), low=pl.lit(50.0), close=pl.lit(50.0))
    bars = bars.with_columns(volume=pl.lit(1e6), adj=pl.lit(1.0), iv=pl.lit(None, pl.Float64), quoted=pl.lit(True))
    return predictions, market_of(bars)


def test_a_book_is_formed_in_the_sessions_in_which_the_backtest_forms_it(panel):
    predictions, market = panel
    chosen = forecast_settings()
    desk, last, formed = ForecastDesk(market, chosen), None, []
    for (session,), rows in predictions.group_by("session", maintain_order=True):
        if desk.due(last, session):
            formed.append(session)
            last = rows["t1_due"].max()
    assert formed == portfolio.backtest(predictions, "expected", chosen).periods["session"].to_list()
    assert len(formed) == 8


def test_a_book_is_held_in_the_weights_of_the_backtest_from_the_one_before(panel):
    predictions, market = panel
    still = predictions.with_columns(outcome=pl.lit(0.0))  # prices do not move: neither do weights by themselves
    chosen, equity = forecast_settings(), 1e9  # so much money that whole shares are no coarse measure
    made, held = portfolio.backtest(still, "expected", chosen).weights, {}
    desk = ForecastDesk(market, chosen)
    for session in made["session"].unique().sort()[:4]:
        held = desk.targets(still.filter(pl.col("session") == session), "expected", held, equity, session)
        weights = dict(made.filter(pl.col("session") == session).select("symbol", "weight").rows())
        for symbol, weight in weights.items():
            assert held.get(symbol, 0) * 50.0 / equity == pytest.approx(weight, abs=2e-4)


def test_a_book_sells_no_more_than_its_turnover_allows(panel):
    predictions, market = panel
    desk, equity = ForecastDesk(market, forecast_settings("portfolio.max_turnover=0.1")), 1e6
    first, second = predictions["session"].unique().sort()[:2]
    before = desk.targets(predictions.filter(pl.col("session") == first), "expected", {}, equity, first)
    after = desk.targets(predictions.filter(pl.col("session") == second), "expected", before, equity, second)
    traded = sum(abs(after.get(name, 0) - before.get(name, 0)) for name in {*before, *after}) * 50.0
    assert traded / equity <= 0.2 + 0.002
    assert sum(before.values()) * 50.0 == pytest.approx(equity, rel=0.01)
