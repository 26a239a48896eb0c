"""Values, costs, returns and Greeks of the three structures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.stats import norm

from bq.analysis.options import bsm_price
from bq.strategies.butterfly import pricing
from bq.strategies.butterfly.pricing import Quote
from bq.strategies.butterfly.settings import Costs
from bq.strategies.butterfly.structure import CALL, IRON, PUT, Structure

FREE = Costs(spread_near=0.0, spread_middle=0.0, spread_far=0.0)
KINDS = pytest.mark.parametrize("kind", [CALL, PUT, IRON], ids=["call", "put", "iron"])
DEBIT_KINDS = pytest.mark.parametrize("kind", [CALL, PUT], ids=["call", "put"])


def array(*values: float) -> np.ndarray:
    return np.array(values, float)


def fly(kind: int, *, body: float = 100.0, width: float = 5.0, n: int = 1) -> Structure:
    return Structure(
        np.full(n, kind), np.full(n, body - width), np.full(n, body), np.full(n, body + width), np.full(n, 30)
    )


def quoted(
    structure: Structure, spot: float, vol: float, years: float, *, rate: float = 0.05, costs: Costs = FREE
) -> Quote:
    n = len(structure.body)
    return pricing.quote(structure, np.full(n, spot), np.full(n, vol), np.full(n, years), rate=rate, costs=costs)


markets = given(
    spot=st.floats(20, 300),
    body=st.floats(0.8, 1.2),
    width=st.floats(0.005, 0.3),
    vol=st.floats(0.03, 1.5),
    later=st.floats(0.4, 2.0),
    later_vol=st.floats(0.03, 2.0),
    years=st.floats(5 / 365, 0.4),
    left=st.floats(0.0, 1.0),
    rate=st.floats(-0.01, 0.1),
    spread=st.floats(0.0, 1.0),
)
few = hypothesis_settings(max_examples=60)


@DEBIT_KINDS
@pytest.mark.parametrize(("spot", "expected"), [(85, -1.0), (92, 0.0), (95, 1.5), (100, 4.0), (115, -1.0), (108, 0.0)])
def test_expiry_pays_the_distance_to_the_wing(kind, spot, expected):
    structure = fly(kind, width=10)
    leave = quoted(structure, spot, 0.2, 0.0, costs=Costs())
    assert pricing.roi(structure, Quote(array(2.0), array(0.0)), leave, paid=1.0) == pytest.approx(
        [expected], abs=1e-12
    )


@pytest.mark.parametrize(("spot", "expected"), [(85, -1.0), (92, 0.0), (95, 1.5), (100, 4.0)])
def test_an_iron_fly_sold_for_width_less_two_returns_the_same(spot, expected):
    structure = fly(IRON, width=10)
    leave = quoted(structure, spot, 0.2, 0.0, costs=Costs())
    assert pricing.roi(structure, Quote(array(-8.0), array(0.0)), leave, paid=1.0) == pytest.approx(
        [expected], abs=1e-12
    )


@markets
@few
def test_a_call_fly_is_worth_a_put_fly_and_an_iron_fly_the_discounted_width_less(
    spot, body, width, vol, years, rate, **_
):
    calls, puts, irons = (
        quoted(fly(kind, body=spot * body, width=spot * width), spot, vol, years, rate=rate).mid[0]
        for kind in (CALL, PUT, IRON)
    )
    most = spot * width * np.exp(-rate * years)
    assert calls == pytest.approx(puts, abs=1e-9 * spot)
    assert irons == pytest.approx(calls - most, abs=1e-9 * spot)
    assert -1e-9 * spot <= calls <= most + 1e-9 * spot


@KINDS
@markets
@few
def test_no_position_loses_more_than_it_risks_or_makes_more_than_its_maximum(
    kind, spot, body, width, vol, later, later_vol, years, left, rate, spread
):
    structure = fly(kind, body=spot * body, width=spot * width)
    costs = Costs(spread_near=spread, spread_middle=spread, spread_far=spread)
    entry = quoted(structure, spot, vol, years, rate=abs(rate), costs=costs)
    leave = quoted(structure, spot * later, later_vol, years * left, rate=abs(rate), costs=costs)
    for paid in pricing.FRACTIONS:
        opened = pricing.terms(structure, entry, paid=paid)
        best = opened.max_profit[0] / opened.risk[0]
        assert -1.0 - 1e-9 <= pricing.roi(structure, entry, leave, paid=paid)[0] <= best + 1e-9


@KINDS
@markets
@few
def test_paying_more_of_the_spread_never_returns_more(
    kind, spot, body, width, vol, later, later_vol, years, left, rate, spread
):
    structure = fly(kind, body=spot * body, width=spot * width)
    costs = Costs(spread_near=spread, spread_middle=spread, spread_far=spread)
    entry = quoted(structure, spot, vol, years, rate=rate, costs=costs)
    leave = quoted(structure, spot * later, later_vol, years * left, rate=rate, costs=costs)
    returned = [pricing.roi(structure, entry, leave, paid=paid)[0] for paid in pricing.FRACTIONS]
    assert np.all(np.diff(returned) <= 1e-12)


@KINDS
def test_half_the_spread_is_paid_on_each_leg_at_its_out_of_the_money_price(kind):
    structure, spot, vol, years = fly(kind, width=10), 100.0, 0.2, 0.1
    costs = Costs()
    entry = quoted(structure, spot, vol, years, costs=costs)
    expected = 0.0
    for strike, is_call, share in ((90, False, 0.10), (100, False, 0.05), (100, False, 0.05), (110, True, 0.10)):
        call, put = (bsm_price(spot, strike, years, vol, rate=0.05, is_call=right) for right in (True, False))
        assert (call if is_call else put) == min(call, put)
        expected += 0.5 * share * min(call, put)
    assert entry.half_spread == pytest.approx([expected], rel=1e-12)


@pytest.mark.parametrize(
    ("strike", "share"), [(102.99, 0.05), (103.01, 0.07), (107.99, 0.07), (108.01, 0.10), (97.01, 0.05), (92.5, 0.07)]
)
def test_the_spread_widens_with_the_distance_of_the_strike(strike, share):
    one = Structure(*(np.full(1, value) for value in (CALL, strike, strike, strike, 30)))
    value = quoted(one, 100.0, 0.2, 0.1, costs=Costs()).half_spread[0]
    prices = [bsm_price(100.0, strike, 0.1, 0.2, rate=0.05, is_call=right) for right in (True, False)]
    assert value == pytest.approx(4 * 0.5 * share * min(prices), rel=1e-12)


@DEBIT_KINDS
def test_no_debit_is_below_its_floor(kind):
    opened = pricing.terms(fly(kind), Quote(array(0.01), array(0.02)), paid=1.0)
    assert opened.debit == opened.risk == pricing.FLOOR
    assert opened.max_profit == pytest.approx([5.0 - pricing.FLOOR])


def test_an_iron_fly_risks_its_width_less_the_credit():
    opened = pricing.terms(fly(IRON), Quote(array(-3.5), array(0.5)), paid=1.0)
    assert (opened.debit[0], opened.risk[0], opened.max_profit[0]) == (-3.0, 2.0, 3.0)
    assert pricing.terms(fly(IRON), Quote(array(-4.99), array(0.0)), paid=1.0).risk == pricing.FLOOR


# 95/100/105, spot 100, 30/365 years, rate 5%, vol 20%; the source has Greeks per year and per 1.00 of vol and rate
REFERENCE = {
    "price": 1.628826863,
    "delta": -0.013361939,
    "gamma": -0.04354337,
    "vega": -7.157814295 / 100,
    "theta": 8.856925096 / 365,
    "rho": -0.243700335 / 100,
}


@KINDS
@pytest.mark.parametrize("name", REFERENCE)
def test_value_and_greeks_are_those_of_the_reference(kind, name):
    value = getattr(pricing.greeks(fly(kind), array(100), array(0.2), array(30 / 365), rate=0.05), name)[0]
    if kind == IRON:  # a call fly and a bond that pays −width at expiry
        bond = -5.0 * np.exp(-0.05 * 30 / 365)
        value -= {"price": bond, "theta": 0.05 * bond / 365, "rho": -30 / 365 * bond / 100}.get(name, 0.0)
    assert value == pytest.approx(REFERENCE[name], rel=1e-7)


@KINDS
def test_greeks_are_the_slopes_of_the_value(kind):
    structure = fly(kind, body=101, width=7)

    def value(spot=100.0, vol=0.25, years=0.12, rate=0.03):
        return quoted(structure, spot, vol, years, rate=rate).mid[0]

    greek = pricing.greeks(structure, array(100), array(0.25), array(0.12), rate=0.03)
    h = 1e-3
    slopes = {
        "delta": (value(spot=100 + h) - value(spot=100 - h)) / (2 * h),
        "gamma": (value(spot=100 + h) - 2 * value() + value(spot=100 - h)) / h**2,
        "vega": (value(vol=0.25 + h) - value(vol=0.25 - h)) / (2 * h) / 100,
        "theta": -(value(years=0.12 + h) - value(years=0.12 - h)) / (2 * h) / 365,
        "rho": (value(rate=0.03 + h) - value(rate=0.03 - h)) / (2 * h) / 100,
    }
    for name, slope in slopes.items():
        assert getattr(greek, name)[0] == pytest.approx(slope, rel=2e-4, abs=1e-7), name


def test_breakevens_and_risk_neutral_probability_are_those_of_the_reference():
    structure = fly(CALL)
    opened = pricing.terms(structure, quoted(structure, 100.0, 0.2, 30 / 365), paid=1.0)
    assert opened.max_profit == pytest.approx([3.3711731368], abs=1e-9)
    assert (structure.body - opened.max_profit)[0] == pytest.approx(96.6288268632, abs=1e-9)
    assert (structure.body + opened.max_profit)[0] == pytest.approx(103.3711731368, abs=1e-9)
    probability = pricing.probability_of_profit(structure, opened, array(100), array(0.2), array(30 / 365), rate=0.05)
    assert probability == pytest.approx([0.443028134], abs=1e-9)


@KINDS
def test_probability_of_profit_is_the_share_of_simulated_expiries_with_profit(kind):
    spot, vol, years, rate = 100.0, 0.3, 0.1, 0.02
    structure = fly(kind, body=102, width=8)
    entry = quoted(structure, spot, vol, years, rate=rate, costs=Costs())
    opened = pricing.terms(structure, entry, paid=1.0)
    probability = pricing.probability_of_profit(structure, opened, array(spot), array(vol), array(years), rate=rate)[0]
    steps = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    final = spot * np.exp((rate - vol**2 / 2) * years + vol * np.sqrt(years) * steps)
    many = fly(kind, body=102, width=8, n=len(final))
    leave = pricing.quote(many, final, np.full(len(final), vol), np.zeros(len(final)), rate=rate, costs=FREE)
    profit = pricing.roi(many, Quote(*(np.full(len(final), part[0]) for part in entry)), leave, paid=1.0) > 0
    assert probability == pytest.approx(profit.mean(), abs=2e-4)


def test_without_profit_there_is_no_probability_of_it():
    opened = pricing.terms(fly(CALL), Quote(array(5.5), array(0.0)), paid=1.0)
    assert pricing.probability_of_profit(fly(CALL), opened, array(100), array(0.2), array(0.1), rate=0.0) == 0.0
