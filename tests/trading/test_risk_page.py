"""What is held, made and paid: Greeks, exposures, the curve and the costs by hand, and the page that shows them."""

import datetime as dt
import re

import polars as pl
import pytest
import season
from season import DAYS, day, settings_of

from bq.core import files
from bq.jobs import risk_page, trading_shown
from bq.strategies.desk import Greeks, Leg, Levels, Mark, Right
from bq.trading import costs, curve, dry_run, gates, positions, risk

ACCOUNT, NAMESPACE = f"dry-run.{season.NAMESPACE}", str(season.NAMESPACE)
TWO = [{"name": "A", "share": 0.6, "decides": "champion"}, {"name": "B", "share": 0.4, "decides": "rule"}]
SYMBOLS = ("S1", "S2", "FLY", "GNAT", "BEE", "WASP")


@pytest.fixture
def traded():
    """Two tracks that have traded for seven days; the settings."""
    settings = settings_of(tracks=TWO, max_positions=99)
    for number in range(7):
        day(DAYS[number], settings, SYMBOLS if number in (0, 3) else ())
    return settings


def test_the_curve_of_a_track_is_its_pnl_through_every_session(traded):
    made = curve.running(ACCOUNT, NAMESPACE)
    assert made["session"].unique().sort().to_list() == DAYS[1:7] and set(made["track"]) == {"A", "B"}
    for session in DAYS[1:7]:
        known = {one.owner.track: one.pnl / 1e4 for one in positions.accounts(ACCOUNT, NAMESPACE, through=session)}
        shown = dict(made.filter(session=session).select("track", "pnl").rows())
        assert {name: shown[name] for name in known} == known
        assert {shown[name] for name in shown.keys() - known.keys()} <= {0.0}


def test_a_position_without_a_mark_is_worth_what_was_paid_for_it():
    """Filled in a session on which nothing was run, and so marked the day after only."""
    settings = settings_of(tracks=[TWO[0]])
    day(DAYS[0], settings, ["FLY"])
    day(DAYS[2], settings)
    (made,) = positions.accounts(ACCOUNT, NAMESPACE, through=DAYS[1])
    assert (made.pnl, made.unmarked) == (-made.commissions, 1) and made.commissions == 12_500
    assert curve.running(ACCOUNT, NAMESPACE)["pnl"][0] == -1.25


def test_costs_are_those_of_the_strategy_s_own_fills_where_the_broker_fills_by_them(traded):
    """A unit pays 0.2 a share beyond the mid, of 100 shares: 20 a unit; shares pay nothing but their fee of 1."""
    for one in costs.of(season.ToyDesk(), ACCOUNT, NAMESPACE):
        orders = [row for row in _filled() if row.owner.track == one.track]
        units = sum(row.standing.filled for row in orders if len(row.legs) > 1)
        fees = sum(1.25 if len(row.legs) > 1 else 1.0 for row in orders)
        assert units and one.orders == len(orders) and one.unpriced == 0
        assert one.paid == pytest.approx(20.0 * units, abs=0.05 * units)  # prices are whole ten-thousandths
        assert one.slippage == pytest.approx(0.0, abs=0.05 * units)
        assert (one.commissions, one.modelled_fees) == pytest.approx((fees, fees))


def _filled():
    from bq.trading import ledger

    return [one for one in ledger.every(ACCOUNT, NAMESPACE, newest=999) if one.standing.filled]


def test_an_order_that_was_filled_dearer_than_the_strategy_s_price_has_slipped(traded, monkeypatch):
    before = {one.track: one for one in costs.of(season.ToyDesk(), ACCOUNT, NAMESPACE)}
    usual = season.ToyDesk.fill

    def cheaper(desk, event, asked, session):
        fill = usual(desk, event, asked, session)
        if len(fill.legs) == 1:
            return fill
        return fill._replace(legs=(fill.legs[0] - (0.05 if asked.quantity > 0 else -0.05), *fill.legs[1:]))

    monkeypatch.setattr(season.ToyDesk, "fill", cheaper)
    for one in costs.of(season.ToyDesk(), ACCOUNT, NAMESPACE):
        units = sum(row.standing.filled for row in _filled() if row.owner.track == one.track and len(row.legs) > 1)
        assert one.slippage - before[one.track].slippage == pytest.approx(5.0 * units)


class GreekDesk(season.ToyDesk):
    def mark(self, position, session):
        return Mark(1.5, position.event["symbol"] == "FLY", Greeks(10.0, -1.0, -8.0, 3.0))

    def levels(self, position, session):
        return Levels(above=2.5, below=0.25, until=DAYS[9])


def test_greeks_exposure_and_distances_are_of_all_units():
    held = _held("FLY", "A", 3, price=1.2), _held("GNAT", "A", -2, price=1.2), _held("FLY", "B", 1, price=1.8)
    found = risk.lines(GreekDesk(), [*held], DAYS[5])
    first = found[0]
    assert (first.delta, first.gamma, first.vega, first.theta) == (30.0, -3.0, -24.0, 9.0)
    assert first.exposure == 30.0 * 98.0 and first.at_risk == pytest.approx(3 * 120.0)
    assert (first.pnl, first.to_above, first.to_below) == pytest.approx((3 * 30.0, 1.0, -1.25))
    assert first.days_to_expiry == (dt.date(2021, 12, 17) - DAYS[5]).days and first.until == DAYS[9]
    assert [one.quoted for one in found] == [True, False, True]
    lines = risk.frame(found)
    assert risk.summed(lines, "track").select("track", "positions", "delta", "at_risk").rows() == [
        ("A", 2, 10.0, pytest.approx(3 * 120.0 + 2 * 120.0)),
        ("B", 1, 10.0, pytest.approx(180.0)),
    ]
    assert risk.summed(lines, "symbol").select("symbol", "delta", "vega").rows() == [
        ("FLY", 40.0, -32.0),
        ("GNAT", -20.0, 16.0),
    ]
    assert risk.summed(lines, "expiry")["positions"].to_list() == [3]


def test_shares_and_legs_that_an_assignment_left_are_part_of_the_greeks():
    class Legs(GreekDesk):
        def greeks(self, event, leg, session):
            return Greeks(60.0, 0.5, 12.0, -2.0) if leg.strike == 95.0 else None

    odd = _held("FLY", "A", 0, price=1.2)._replace(odd={"FLY": -100, "FLY 20211217 C 95": 2})
    (one,) = risk.lines(Legs(), [odd], DAYS[5])
    assert (one.delta, one.exposure, one.odd, one.at_risk) == (-100.0 + 120.0, 20.0 * 98.0, 102, 0.0)
    assert (one.gamma, one.vega, one.theta) == (1.0, 24.0, -4.0)
    whole = odd._replace(units=3)
    assert risk.lines(Legs(), [whole], DAYS[5])[0].delta == 30.0 + 20.0
    unknown = odd._replace(odd={"FLY 20211217 C 105": 1})
    assert risk.lines(Legs(), [unknown], DAYS[5])[0].delta is None


def test_a_position_without_a_price_is_counted_and_in_no_sum():
    class Silent(GreekDesk):
        def mark(self, position, session):
            return None

    lines = risk.frame(risk.lines(Silent(), [_held("FLY", "A", 3, price=1.2)], DAYS[5]))
    assert risk.summed(lines, "track").select("positions", "unpriced", "delta").rows() == [(1, 1, None)]
    both = pl.concat([lines, risk.frame(risk.lines(GreekDesk(), [_held("FLY", "A", 3, price=1.2)], DAYS[5]))])
    assert risk.summed(both, "track").select("positions", "unpriced", "delta").rows() == [(2, 1, 30.0)]


def test_of_a_position_past_its_expiry_only_what_is_known_is_shown():
    """Options that expired in December 2021 have no price, no Greeks and no days left in March 2023."""
    later = dt.date(2023, 3, 1)
    (one,) = risk.lines(GreekDesk(), [_held("FLY", "A", 3, price=1.2)], later)
    assert (one.units, one.paid, one.at_risk, one.expiry) == (3, 1.2, pytest.approx(360.0), dt.date(2021, 12, 17))
    unknown = ("mark", "quoted", "pnl", "delta", "gamma", "vega", "theta", "exposure", "days_to_expiry", "to_above")
    assert {getattr(one, name) for name in (*unknown, "to_below", "until")} == {None}
    lines = risk.frame([one])
    assert risk_page.expired(lines, later).startswith("1 position past expiry: no mark and no Greeks until `make tr")
    assert risk_page.expired(lines, dt.date(2021, 12, 17)) == ""


def _held(symbol, track, units, *, price):
    event = {"symbol": symbol, "session": DAYS[0], "source": "simulated"}
    owner = positions.Owner(ACCOUNT, NAMESPACE, track)
    legs = season.ToyDesk().legs(event)
    paid = round(price * 1e4)
    return positions.Held(
        owner, symbol, symbol, "e", "simulated", None, event, legs, units, {}, paid, DAYS[1], None, DAYS[1]
    )


WORST = {  # legs: strike, right, ratio; price; the most that is lost: by hand
    "call-fly-loses-its-debit": ([(95, "C", 1), (100, "C", -2), (105, "C", 1)], 1.5, 150.0),
    "iron-fly-loses-its-wing-less-the-credit": (
        [(95, "P", 1), (100, "P", -1), (100, "C", -1), (105, "C", 1)],
        -3.0,
        200.0,
    ),
    "wings-of-two-widths-lose-the-wider-one": ([(90, "P", 1), (100, "P", -2), (105, "P", 1)], 0.5, 550.0),
}


@pytest.mark.parametrize(("legs", "price", "lost"), WORST.values(), ids=WORST)
def test_the_worst_loss_is_that_of_the_pay_off(legs, price, lost):
    made = tuple(Leg("A", n, None, dt.date(2019, 6, 21), float(k), Right(r), 100) for k, r, n in legs)
    assert risk.worst_loss(made, price) == pytest.approx(lost)


def page_of(settings, session):
    return risk_page.write(season.trader_at(session, settings)).read_text()


def test_the_page_shows_what_is_held_sent_refused_and_made(traded):
    files.write_text(gates.switch(), "stop")
    day(DAYS[7], traded, ["S1", "NEW"])
    page = page_of(traded, DAYS[7])
    text = re.sub(r"<[^>]+>", " ", page)
    for part in ("Positions", "Greeks and exposure", "Orders of the session", "Profit and loss", "What trading cost"):
        assert part in text
    assert "Not evidence about the market: this market is simulated." in text
    assert "The kill switch is on" in text and "the kill switch is on (make resume)" in text
    held = positions.held(ACCOUNT, NAMESPACE)
    assert held and f"{len(held)} open position" in text
    for one in held:
        assert one.symbol in text


def test_a_page_of_nothing_says_so():
    text = page_of(settings_of(tracks=TWO), DAYS[0])
    for said in ("no open position", "no order was written", "nothing was refused", "nothing was traded yet"):
        assert said in text


def test_a_symbol_stays_text_on_the_page():
    symbol = "<script>alert(1)</script>"
    settings = settings_of(tracks=[TWO[0]])
    day(DAYS[0], settings, [symbol])
    assert symbol not in page_of(settings, DAYS[0])


def test_the_page_is_due_while_something_new_is_to_be_shown_and_not_twice(traded):
    def due(session):
        trader = season.trader_at(session, traded)
        holds = bool(positions.held(ACCOUNT, NAMESPACE))
        found = trading_shown.due(trader, holds=holds)
        if found:
            risk_page.write(trader)
        return found

    assert [due(DAYS[6]), due(DAYS[6]), due(DAYS[7])] == [True, False, True]  # the marks are of another day
    day(DAYS[7], traded, ["NEW"])
    assert [due(DAYS[7]), due(DAYS[7])] == [True, False]
    files.write_text(gates.switch(), "stop")
    assert due(DAYS[7])


def test_nothing_is_due_where_nothing_was_ever_traded():
    settings = settings_of(tracks=TWO)
    day(DAYS[0], settings)
    assert dry_run.state_file(ACCOUNT).is_file()
    assert not trading_shown.due(season.trader_at(DAYS[0], settings), holds=False)


def test_lines_of_nothing_are_a_frame_with_its_columns():
    assert risk.frame([]).columns == list(risk.Line._fields) and risk.frame([]).schema["delta"] == pl.Float64
