"""What is said of an order is what its legs make of it, by hand."""

import datetime as dt
import re

import polars as pl
import pytest

from bq import strategies
from bq.core import params, paths
from bq.workbench import cards, tickets, trade_chart
from bq.workbench.sanitize import clean
from bq.workbench.table import table

DAY = dt.date(2018, 9, 27)


def settings_of(name: str):
    return params.load(paths.parameters(name), strategies.get(name).settings)


def fly(structure: str, **more):
    """An event with a fly 90/100/110 whose legs cost 4 more than they bring, or bring 6 where it is an iron fly."""
    event = {"structure": structure, "lower": 90.0, "body": 100.0, "upper": 110.0, "dte_days": 45, "session": DAY}
    event |= {"expiry": dt.date(2018, 11, 11), "spot": 101.0, "max_profit": 6.0, "max_loss": 4.0, "quoted": True}
    return event | more


def ticket(structure: str, **more):
    return strategies.get("butterfly").views.ticket(fly(structure, **more), settings_of("butterfly"))


def at_expiry(order, spot: float) -> float:
    """What the legs are worth at expiry, less what was paid: call pays S - K, put K - S."""
    worth = {"call": lambda strike: max(spot - strike, 0.0), "put": lambda strike: max(strike - spot, 0.0)}
    return sum(leg.quantity * worth[leg.right](leg.strike) for leg in order.legs) - order.price


@pytest.mark.parametrize("structure", ["CALL", "PUT", "IRON"])
def test_what_can_become_of_a_fly_is_what_its_legs_pay(structure):
    order = ticket(structure)
    low, high = order.breakevens
    made = [at_expiry(order, spot / 10) for spot in range(500, 1500)]
    assert max(made) == pytest.approx(order.most_made) and min(made) == pytest.approx(-order.most_lost)
    assert at_expiry(order, low) == pytest.approx(0.0) and at_expiry(order, high) == pytest.approx(0.0)
    assert (order.price < 0) == (structure == "IRON") and order.days == 45
    assert sum(leg.quantity for leg in order.legs) == 0


def test_a_debit_fly_is_said_in_two_sentences():
    assert tickets.lines("KO", ticket("CALL")) == [
        "KO, expiry 2018-11-11 (45 days, on a weekend: take the nearest that is listed): "
        "buy 1 × 90 call, sell 2 × 100 calls and buy 1 × 110 call.",
        "Debit 4.00 a share, 400 a contract of 100; makes at most 6.00, loses at most 4.00; earns at expiry between "
        "94.00 and 106.00.",
    ]


def test_an_iron_fly_brings_a_credit():
    order, becomes = tickets.lines("KO", ticket("IRON"))
    assert "buy 1 × 90 put, sell 1 × 100 call, sell 1 × 100 put and buy 1 × 110 call" in order
    assert becomes.startswith("Credit 6.00 a share, 600 a contract of 100; makes at most 6.00, loses at most 4.00;")


def test_without_prices_of_the_exchange_no_contract_is_named():
    order, becomes = tickets.lines("KO", ticket("CALL", quoted=False))
    assert order.endswith("buy 1 × 110 call (strikes in % of spot).")
    assert "% of spot a share" in becomes and "contract" not in becomes


def test_what_cannot_earn_says_so():
    _, becomes = tickets.lines("KO", ticket("CALL", max_profit=-0.5, max_loss=10.5))
    assert becomes == "Debit 10.50 a share, 1,050 a contract of 100; cannot earn anything, loses at most 10.50."


def test_shares_say_entry_stop_and_what_is_at_risk():
    """200 shares with a stop 5% of 50 below the open lose 500, a twentieth of a percent of a million."""
    event = {"symbol": "AMD", "quantity": 200.0, "close": 50.0, "stop_share": 0.05}
    order = strategies.get("breakout").views.ticket(event, settings_of("breakout"))
    assert tickets.lines("AMD", order) == [
        "AMD: buy 200 shares at the next open (close 50.00).",
        "Stop 2.50 (5.0%) below that open, at about 47.50; there it loses about 500, 0.05% of 1,000,000, before costs "
        "and gaps.",
    ]


@pytest.mark.parametrize("lack", [{"close": None}, {"quantity": float("nan")}], ids=["no close", "no size"])
def test_an_event_that_lacks_a_price_or_a_size_is_no_order(lack):
    event = {"symbol": "AMD", "quantity": 200.0, "close": 50.0, "stop_share": 0.05} | lack
    assert strategies.get("breakout").views.ticket(event, settings_of("breakout")) is None


CARD = cards.Card("5d0fc50f7d09641e", "1. KO <b>", ["buy", "debit"], "unlike the training", "")


@pytest.mark.parametrize("lack", ["expiry", "max_profit", "spot"])
def test_a_structure_of_which_a_fact_is_not_known_is_no_order(lack):
    assert ticket("CALL", **{lack: None}) is None


def test_a_row_leads_to_its_card_and_a_card_to_its_page_after_cleaning():
    rows = table(pl.DataFrame({"event": ["5d0fc50f"], "why": ["x"]}), links=[cards.address(CARD.event_id)])
    page, active = clean(rows._repr_html_() + cards.Cards([CARD])._repr_html_())
    target = re.search(r'href="#([^"]+)"', page)[1]
    assert f'<div class="order" id="{target}">' in page and not active
    assert "make explain EVENT=5d0fc50f" in page and "1. KO &lt;b&gt;" in page
    known, _ = clean(cards.Cards([CARD._replace(explained="../explanations/5d0f.html")])._repr_html_())
    assert 'href="../explanations/5d0f.html"' in known and "make explain" not in known


@pytest.mark.parametrize(
    "address", ["../../etc/passwd", "../etc/x.html", "../explanations/../x.html", "javascript:x", "//host/x.html"]
)
def test_no_other_relative_address_passes(address):
    assert "href" not in clean(f'<a href="{address}">x</a>')[0]


def test_a_row_on_a_phone_names_its_cells_and_leaves_out_what_it_has_not():
    shown = table(pl.DataFrame({"event": ["a"], "expected ROI": [0.25], "reason": [None]}), links=[""])._repr_html_()
    assert 'data-label="expected ROI">0.250' in shown and 'class="none' in shown and "<a " not in shown


def bars(closes: list[float], opens: list[float]) -> pl.DataFrame:
    days = [DAY + dt.timedelta(days=place) for place in range(len(closes))]
    return pl.DataFrame({"session": days, "open": opens, "close": closes}).with_columns(symbol=pl.lit("KO"))


def drawn(figure) -> tuple[dict[str, list], list[float]]:
    """What is drawn, by name: its prices; and the levels of the lines across."""
    lines = [shape.y0 for shape in figure.layout.shapes]
    return {trace.name.split(" ")[0]: list(trace.y) for trace in figure.data}, lines


def test_prices_of_a_trade_are_in_the_unit_of_its_strikes_whatever_splits_came_later():
    """Bars adjusted for a later 2:1 split show half of the 100 that was quoted: the chart shows 100."""
    trade = trade_chart.Trade("KO", DAY, DAY + dt.timedelta(days=1), DAY + dt.timedelta(days=2))
    order = ticket("CALL", spot=100.0)
    lines, levels = drawn(trade_chart.chart(bars([50.0, 51.0, 55.0], [50.0, 50.5, 52.0]), trade, order))
    assert lines["close"] == [100.0, 102.0, 110.0]
    assert (lines["decision"], lines["entry"], lines["exit"]) == ([100.0], [102.0], [110.0])
    assert levels == [90.0, 100.0, 110.0]


def test_a_stop_is_drawn_below_the_open_of_the_entry_and_an_open_trade_has_no_exit():
    """A stop 5% of a close of 50 below an open of 51: 48.5."""
    order = strategies.get("breakout").views.ticket(
        {"symbol": "KO", "quantity": 200.0, "close": 50.0, "stop_share": 0.05}, settings_of("breakout")
    )
    trade = trade_chart.Trade("KO", DAY, DAY + dt.timedelta(days=1), None)
    lines, levels = drawn(trade_chart.chart(bars([50.0, 52.0], [50.0, 51.0]), trade, order))
    assert levels == [48.5] and "exit" not in lines


def test_without_a_bar_of_the_decision_nothing_is_drawn_and_why_is_said():
    trade = trade_chart.Trade("PEP", DAY, None, None)
    figure = trade_chart.chart(bars([50.0], [50.0]), trade, ticket("CALL"))
    assert not figure.data and "There is no bar on 2018-09-27." in figure.layout.annotations[0].text
