import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from bq.analysis.options import Greeks, bsm_greeks, bsm_price, implied_volatility
from bq.core.errors import BadParameters

ENGINES = ("compiled", "reference")
engines = pytest.mark.parametrize("engine", ENGINES)

# spot, strike, years, vol, rate, dividend yield, is a call, value
PUBLISHED = {
    "hull-call": (42, 40, 0.5, 0.2, 0.10, 0.0, True, 4.759422393),  # Hull, Options, Futures and Other Derivatives
    "hull-put": (42, 40, 0.5, 0.2, 0.10, 0.0, False, 0.808599373),
    "hull-greeks-example": (49, 50, 0.3846, 0.2, 0.05, 0.0, True, 2.400461087),
    "hull-index": (930, 900, 2 / 12, 0.2, 0.08, 0.03, True, 51.832956796),
    "haug": (60, 65, 0.25, 0.3, 0.08, 0.0, True, 2.133368445),  # Haug, Option Pricing Formulas
    "at-the-money": (100, 100, 1.0, 0.2, 0.05, 0.0, True, 10.450583572),
}
published = pytest.mark.parametrize("case", PUBLISHED.values(), ids=PUBLISHED.keys())

markets = {
    "spot": st.floats(20, 500),
    "moneyness": st.floats(0.6, 1.6),
    "years": st.floats(0.02, 3),
    "vol": st.floats(0.05, 1.5),
    "rate": st.floats(-0.02, 0.10),
    "dividend_yield": st.floats(0, 0.08),
    "is_call": st.booleans(),
}


@engines
@published
def test_value_matches_published_examples(case, engine):
    spot, strike, years, vol, rate, dividend_yield, is_call, expected = case
    value = bsm_price(
        spot, strike, years, vol, rate=rate, dividend_yield=dividend_yield, is_call=is_call, engine=engine
    )
    assert value == pytest.approx(expected, abs=1e-8)


@engines
@published
def test_implied_volatility_of_published_values_is_the_published_volatility(case, engine):
    spot, strike, years, vol, rate, dividend_yield, is_call, price = case
    implied = implied_volatility(
        price, spot, strike, years, rate=rate, dividend_yield=dividend_yield, is_call=is_call, engine=engine
    )
    assert implied == pytest.approx(vol, abs=1e-8)


@engines
def test_implied_volatility_of_a_half_year_option_at_the_money(engine):
    implied = implied_volatility(5.87602423383, 100, 100, 0.5, rate=0.01, is_call=True, engine=engine)
    assert implied == pytest.approx(0.2, abs=1e-10)


@engines
def test_greeks_match_hulls_example_in_our_units(engine):
    greeks = bsm_greeks(49, 50, 0.3846, 0.2, rate=0.05, is_call=True, engine=engine)
    # the book states vega and rho per 1.00 and theta per year
    expected = (2.400461087, 0.521601634, 0.065545377, 12.105242754 / 100, -4.305389965 / 365, 8.906574099 / 100)
    np.testing.assert_allclose(greeks, expected, rtol=1e-8)


@engines
def test_butterfly_of_three_strikes_has_the_computed_greeks_and_breakevens(engine):
    lots = np.array([1, -2, 1])
    greeks = bsm_greeks(100, [95, 100, 105], 30 / 365, 0.2, rate=0.05, is_call=True, engine=engine)
    fly = Greeks(*(lots @ value for value in greeks))
    expected = (1.628826863, -0.013361939, -0.04354337, -7.157814295 / 100, 8.856925096 / 365, -0.243700335 / 100)
    np.testing.assert_allclose(fly, expected, rtol=1e-6)
    assert (95 + fly.price, 105 - fly.price) == pytest.approx((96.6288268632, 103.3711731368), abs=1e-8)
    assert 5 - fly.price == pytest.approx(3.3711731368, abs=1e-8)


@settings(deadline=None)
@given(**markets)
def test_put_call_parity(spot, moneyness, years, vol, rate, dividend_yield, is_call):
    strike = spot * moneyness
    call, put = bsm_price(spot, strike, years, vol, rate=rate, dividend_yield=dividend_yield, is_call=[True, False])
    forward = spot * np.exp(-dividend_yield * years) - strike * np.exp(-rate * years)
    assert call - put == pytest.approx(forward, abs=1e-10 * spot)
    assert call >= max(0, forward) - 1e-10 * spot
    assert put >= max(0, -forward) - 1e-10 * spot


@settings(deadline=None)
@given(**markets)
def test_greeks_are_the_slopes_of_the_value(spot, moneyness, years, vol, rate, dividend_yield, is_call):
    base = {"spot": spot, "strike": spot * moneyness, "years": years, "vol": vol, "rate": rate}
    base |= {"dividend_yield": dividend_yield, "is_call": is_call}
    greeks = bsm_greeks(**base)

    def slope(name, size, column=0):
        up, down = ({**base, name: base[name] + way * size} for way in (1, -1))
        return (bsm_greeks(**up)[column] - bsm_greeks(**down)[column]) / (2 * size)

    size = 1e-4 * spot
    assert greeks.delta == pytest.approx(slope("spot", size), abs=1e-5)
    assert greeks.gamma * spot == pytest.approx(slope("spot", size, column=1) * spot, abs=1e-3, rel=1e-3)
    assert greeks.vega * 100 == pytest.approx(slope("vol", 1e-5), abs=1e-4 * spot)
    assert greeks.theta * 365 == pytest.approx(-slope("years", 1e-5), abs=1e-4 * spot)
    assert greeks.rho * 100 == pytest.approx(slope("rate", 1e-5), abs=1e-4 * spot)


@settings(deadline=None)
@given(spot=st.floats(50, 200), width=st.floats(0.5, 20), years=st.floats(0.01, 2), vol=st.floats(0.05, 1))
def test_butterflies_are_worth_between_nothing_and_their_discounted_width(spot, width, years, vol):
    strikes = 100 + width * np.array([-1, 0, 1])
    calls, puts = (
        np.array([1, -2, 1]) @ bsm_price(spot, strikes, years, vol, rate=0.04, is_call=is_call)
        for is_call in (True, False)
    )
    assert -1e-9 <= calls <= width * np.exp(-0.04 * years) + 1e-9
    assert calls == pytest.approx(puts, abs=1e-9)


@settings(deadline=None)
@given(**markets)
def test_engines_agree_on_value_and_greeks(spot, moneyness, years, vol, rate, dividend_yield, is_call):
    market = {"rate": rate, "dividend_yield": dividend_yield, "is_call": is_call}
    ours, peer = (bsm_greeks(spot, spot * moneyness, years, vol, **market, engine=engine) for engine in ENGINES)
    np.testing.assert_allclose(ours, peer, rtol=1e-9, atol=1e-11 * spot)


@settings(deadline=None, max_examples=400)
@given(
    distance=st.floats(-12, 12),
    years=st.floats(1 / 365, 5),
    vol=st.floats(0.01, 3),
    rate=st.floats(-0.02, 0.1),
    dividend_yield=st.floats(0, 0.08),
)
def test_volatility_comes_back_from_out_of_the_money_values_far_into_the_wings(
    distance, years, vol, rate, dividend_yield
):
    # `distance` is in standard deviations; at 12 the option is worth 1e-33 of spot
    market = {"rate": rate, "dividend_yield": dividend_yield}
    strike = 100 * np.exp((rate - dividend_yield) * years + distance * vol * np.sqrt(years))
    is_call = distance >= 0
    price = bsm_price(100, strike, years, vol, **market, is_call=is_call, engine="reference")
    vega = bsm_greeks(100, strike, years, vol, **market, is_call=is_call, engine="reference").vega
    assume(1e-12 * price < vega)  # beyond lies a value at its upper bound, which no longer depends on the volatility
    assert implied_volatility(price, 100, strike, years, **market, is_call=is_call) == pytest.approx(vol, abs=1e-8)


@settings(deadline=None, max_examples=400)
@given(moneyness=st.floats(0.1, 10), years=st.floats(1 / 365, 5), vol=st.floats(0.02, 2), is_call=st.booleans())
def test_implied_volatility_is_right_or_missing_in_the_money_as_well(moneyness, years, vol, is_call):
    price = bsm_price(100, 100 * moneyness, years, vol, rate=0.03, is_call=is_call, engine="reference")
    implied = implied_volatility(price, 100, 100 * moneyness, years, rate=0.03, is_call=is_call)
    assert np.isnan(implied) or implied == pytest.approx(vol, abs=1e-8)
    vega = bsm_greeks(100, 100 * moneyness, years, vol, rate=0.03, is_call=is_call).vega
    if vega > 1e-6 * max(1, moneyness):
        assert np.isfinite(implied)


@settings(deadline=None, max_examples=50)
@given(distance=st.floats(-8, 8), years=st.floats(0.01, 3), vol=st.floats(0.05, 1.5), is_call=st.booleans())
def test_engines_agree_on_implied_volatility(distance, years, vol, is_call):
    strike = 100 * np.exp(0.03 * years + distance * vol * np.sqrt(years))
    price = bsm_price(100, strike, years, vol, rate=0.03, is_call=is_call)
    ours, peer = (
        implied_volatility(price, 100, strike, years, rate=0.03, is_call=is_call, engine=engine) for engine in ENGINES
    )
    np.testing.assert_allclose(ours, peer, atol=2e-8)


# price, years; spot 100, strike 90, rate 5%
UNSOLVABLE = {
    "below-the-lower-bound": (10.0, 1.0, True),
    "above-the-upper-bound": (100.5, 1.0, True),
    "at-the-upper-bound": (100.0, 1.0, True),
    "put-above-its-strike": (90.0, 1.0, False),
    "worthless": (0.0, 1.0, False),
    "negative": (-1.0, 1.0, False),
    "expired": (10.0, 0.0, True),
    "missing": (np.nan, 1.0, True),
    "time-value-lost-in-rounding": (100 - 90 * np.exp(-0.05) + 1e-14, 1.0, True),
}


@engines
@pytest.mark.parametrize("case", UNSOLVABLE.values(), ids=UNSOLVABLE.keys())
def test_price_without_a_volatility_gives_missing_not_zero(case, engine):
    price, years, is_call = case
    assert np.isnan(implied_volatility(price, 100, 90, years, rate=0.05, is_call=is_call, engine=engine))


@engines
@pytest.mark.parametrize("years", [0.0, -0.1], ids=["at-expiry", "after-expiry"])
def test_expired_options_are_worth_their_intrinsic_value(engine, years):
    strikes = [90, 100, 110]
    market = {"rate": 0.05, "dividend_yield": 0.02, "engine": engine}
    call = bsm_greeks(100, strikes, years, 0.2, is_call=True, **market)
    put = bsm_greeks(100, strikes, years, 0.2, is_call=False, **market)
    np.testing.assert_allclose(call.price, [10, 0, 0], atol=1e-12)
    np.testing.assert_allclose(put.price, [0, 0, 10], atol=1e-12)
    np.testing.assert_array_equal(call.delta, [1, 0.5, 0])
    np.testing.assert_array_equal(put.delta, [0, -0.5, -1])
    for greeks in (call, put):
        np.testing.assert_array_equal([greeks.gamma, greeks.vega, greeks.theta, greeks.rho], np.zeros((4, 3)))


@engines
def test_without_volatility_an_option_is_worth_its_discounted_certain_payoff(engine):
    market = {"rate": 0.05, "dividend_yield": 0.02, "engine": engine}
    call, put = (bsm_greeks(100, 90, 0.5, 0.0, is_call=is_call, **market) for is_call in (True, False))
    assert call.price == pytest.approx(100 * np.exp(-0.01) - 90 * np.exp(-0.025))
    assert call.delta == pytest.approx(np.exp(-0.01))
    assert call.theta == pytest.approx((0.02 * 100 * np.exp(-0.01) - 0.05 * 90 * np.exp(-0.025)) / 365)
    assert (call.gamma, call.vega) == (0, 0)
    np.testing.assert_allclose(put, 0, atol=1e-12)


@engines
@pytest.mark.parametrize("name", ["spot", "strike", "years", "vol", "rate", "dividend_yield"])
def test_missing_argument_gives_missing_values_for_that_option_only(name, engine):
    base = {"spot": 100.0, "strike": 95.0, "years": 0.5, "vol": 0.2, "rate": 0.05, "dividend_yield": 0.0}
    greeks = bsm_greeks(**{**base, name: [np.nan, base[name]]}, is_call=True, engine=engine)
    assert np.isnan(np.array(greeks)[:, 0]).all()
    assert np.isfinite(np.array(greeks)[:, 1]).all()


@engines
@pytest.mark.parametrize("bad", [{"spot": 0}, {"strike": -1}, {"vol": -0.1}], ids=["spot", "strike", "vol"])
def test_impossible_arguments_give_missing_values(bad, engine):
    base = {"spot": 100, "strike": 95, "years": 0.5, "vol": 0.2}
    assert np.isnan(bsm_price(**{**base, **bad}, rate=0.05, is_call=True, engine=engine))


@engines
def test_arguments_broadcast(engine):
    strikes, years = np.array([90, 100, 110, 120])[:, None], np.array([0.1, 0.5, 1.0])
    market = {"rate": 0.03, "is_call": strikes > 100, "engine": engine}
    price = bsm_price(100, strikes, years, 0.3, **market)
    assert price.shape == (4, 3)
    assert price[1, 2] == bsm_price(100, 100, 1.0, 0.3, rate=0.03, is_call=False, engine=engine)
    np.testing.assert_allclose(implied_volatility(price, 100, strikes, years, **market), 0.3, atol=1e-8)


def test_lower_tail_of_the_normal_distribution_keeps_its_digits():
    # a put 10 deviations out of the money, from the two tail probabilities themselves
    deviation = 0.2
    strike = 100 * np.exp(-10 * deviation)
    expected = strike * ndtr(-10 + deviation / 2) - 100 * ndtr(-10 - deviation / 2)
    assert bsm_price(100, strike, 1.0, deviation, rate=0.0, is_call=False) == pytest.approx(expected, rel=1e-10)


def test_unknown_engine_is_refused():
    with pytest.raises(BadParameters, match="did you mean `compiled`"):
        bsm_price(100, 100, 1, 0.2, rate=0, is_call=True, engine="compile")
