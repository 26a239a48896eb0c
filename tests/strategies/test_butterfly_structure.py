"""Which structure the rules choose, what it scores, and which features describe it."""

import numpy as np
import pytest

from bq.analysis.options import Greeks
from bq.strategies.butterfly import score
from bq.strategies.butterfly.build import tradable
from bq.strategies.butterfly.features import BUTTERFLY_V2, butterfly_v2
from bq.strategies.butterfly.pricing import Quote, Terms
from bq.strategies.butterfly.settings import Costs, Score, holding_days
from bq.strategies.butterfly.settings import Structure as Rules
from bq.strategies.butterfly.structure import CALL, IRON, PUT, TYPES, Reading, choose

PLAIN = {
    "spot": 100.0,
    "trend_slope": 0.0,
    "trend": 0,
    "peak": False,
    "dominant_period": 30.0,
    "period_strength": 0.05,
    "forecast": 101.0,
    "width_pct": 6.0,
    "garch_vol": 0.18,
    "iv": 0.20,
    "iv_percentile": 0.5,
    "momentum_7d": 0.01,
    "vol_concentration": 1.5,
    "skew": np.nan,
}


def reading(**changes) -> Reading:
    return Reading(**{name: np.array([value]) for name, value in {**PLAIN, **changes}.items()})


def chosen(*, quoted: bool = True, rules: Rules | None = None, **changes):
    return choose(reading(**changes), quoted=quoted, settings=rules or Rules())


@pytest.mark.parametrize(
    ("trend", "peak", "expected"),
    [
        (1, False, "CALL"),
        (1, True, "CALL"),
        (-1, True, "PUT"),
        (-1, False, "PUT"),
        (0, True, "IRON"),
        (0, False, "IRON"),
    ],
)
def test_the_type_follows_the_trend(trend, peak, expected):
    assert TYPES[chosen(trend=trend, peak=peak).type[0]] == expected


@pytest.mark.parametrize(
    ("spot", "forecast", "body", "width"),
    [
        (49.99, 48.6, 47.5, 2.5),
        (50.0, 48.6, 50.0, 5.0),
        (199.99, 202.4, 200.0, 5.0),
        (200.0, 206.0, 210.0, 10.0),
        (1400.0, 1404.0, 1400.0, 10.0),
        (2250.0, 2262.0, 2250.0, 25.0),
        (4000.0, 4014.0, 4000.0, 50.0),
        (11000.0, 11070.0, 11100.0, 100.0),
        (24000.0, 24100.0, 24000.0, 250.0),
        (1.0, 0.9, 2.5, 2.5),
    ],
    ids=["below-50", "50", "below-200", "200", "1400", "2250", "4000", "11000", "24000", "penny"],
)
def test_strikes_lie_on_the_grid_of_the_quoted_price(spot, forecast, body, width):
    structure = chosen(spot=spot, forecast=forecast, rules=Rules(min_wing_sigmas=0.0))
    assert (structure.body[0], structure.width[0]) == (body, width)
    assert structure.upper[0] - structure.body[0] == structure.body[0] - structure.lower[0]


def test_without_quoted_prices_the_step_is_a_fortieth_of_spot():
    structure = chosen(quoted=False, spot=80.0, forecast=83.1)
    assert structure.body == pytest.approx([84.0]) and structure.width == pytest.approx([2.0])


@pytest.mark.parametrize(
    ("width_pct", "period", "steps"),
    [
        (7.99, 30, 1),
        (8.0, 30, 2),
        (11.99, 30, 2),
        (12.0, 30, 3),
        (6.0, 14, 1),
        (10.0, 14, 2),
        (20.0, 14, 2),
        (20.0, 15, 3),
        (6.0, 46, 1),
        (10.0, 46, 2),
        (20.0, 46, 4),
        (20.0, 45, 3),
    ],
)
def test_wings_are_whole_steps_by_interval_and_period(width_pct, period, steps):
    assert chosen(width_pct=width_pct, dominant_period=period).width[0] == 5.0 * steps


@pytest.mark.parametrize(("period", "dte"), [(19.9, 21), (20, 30), (39.9, 30), (40, 45), (170, 45)])
def test_expiry_follows_the_dominant_period(period, dte):
    assert chosen(dominant_period=period).dte_days[0] == dte


@pytest.mark.parametrize(("iv", "steps"), [(0.01, 1), (0.20, 1), (0.50, 3)])
def test_volatility_wings_span_about_one_deviation(iv, steps):
    structure = chosen(iv=iv, rules=Rules(wing="volatility"))
    assert structure.width[0] == 5.0 * steps
    assert steps == max(1, round(100 * iv * np.sqrt(30 / 365) / 5))


@pytest.mark.parametrize("wing", ["interval", "volatility"])
@pytest.mark.parametrize(("iv", "least", "width"), [(0.40, 0.25, 5.0), (0.80, 0.25, 10.0), (0.80, 0.0, 5.0)])
def test_a_wing_is_a_quarter_of_a_deviation_or_more(wing, iv, least, width):
    """100 × .8 × √(30/365) = 22.9, a quarter of it 5.7: two steps of 5; at an IV of .4 it is 2.9: one."""
    rules = Rules(wing=wing, min_wing_sigmas=least)
    found = chosen(iv=iv, rules=rules).width[0]
    assert found == (width if wing == "interval" else 5.0 * round(100 * iv * np.sqrt(30 / 365) / 5))
    assert found >= least * 100 * iv * np.sqrt(30 / 365)


def test_without_quoted_prices_the_least_wing_holds_too():
    wide = chosen(quoted=False, iv=1.2)  # a quarter of 100 × 1.2 × √(30/365) is 8.6: four steps of 2.5
    assert wide.width == pytest.approx([10.0])


@pytest.mark.parametrize("kind", [CALL, PUT, IRON], ids=TYPES)
def test_the_body_is_sold_once_for_each_wing(kind):
    structure = chosen(trend=[1, -1, 0][kind])
    legs = list(zip(structure.strikes[0], structure.is_call[0], strict=True))
    assert structure.type[0] == kind
    if kind == IRON:
        assert legs == [(95.0, False), (100.0, False), (100.0, True), (105.0, True)]
    else:
        assert legs == [(strike, kind == CALL) for strike in (95.0, 100.0, 100.0, 105.0)]


@pytest.mark.parametrize(("dte", "days"), [(2, 1), (5, 4), (10, 8), (21, 18), (29, 26), (30, 25), (45, 40)])
def test_a_position_is_held_until_shortly_before_expiry(dte, days):
    assert holding_days(dte) == days
    assert days == (dte - 5 if dte >= 30 else max(dte - 3, int(0.8 * dte)))


def parts(delta: float = 0.0, **changes) -> score.Components:
    found = reading(**changes)
    return score.components(found, choose(found, quoted=True, settings=Rules()), np.array([delta]))


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("price_match", {"forecast": 100.0}, 100.0),
        ("price_match", {"forecast": 102.0}, 100 - 2 / 102 * 500),
        ("price_match", {"spot": 300.0, "forecast": 5.0}, 0.0),
        ("vol_mispricing", {"iv": 0.20, "garch_vol": 0.20}, 50.0),
        ("vol_mispricing", {"iv": 0.20, "garch_vol": 0.19}, 75.0),
        ("vol_mispricing", {"iv": 0.20, "garch_vol": 0.10}, 100.0),
        ("vol_mispricing", {"iv": 0.20, "garch_vol": 0.30}, 0.0),
        ("stability", {"width_pct": 6.0}, 70.0),
        ("stability", {"width_pct": 25.0}, 0.0),
        ("fourier", {"trend": 1, "peak": False}, 100.0),
        ("fourier", {"trend": 1, "peak": True}, 50.0),
        ("fourier", {"trend": -1, "peak": True}, 100.0),
        ("fourier", {"trend": -1, "peak": False}, 50.0),
        ("fourier", {"trend": 0}, 80.0),
        ("fourier", {"trend": 0, "period_strength": 0.11}, 88.0),
        ("fourier", {"trend": 1, "peak": True, "period_strength": 0.11}, 55.0),
        ("fourier", {"trend": 1, "period_strength": 0.11}, 100.0),
        ("delta_penalty", {"delta": -0.02}, 1.0),
        ("delta_penalty", {"delta": 0.5}, 10.0),
    ],
)
def test_components_are_those_of_the_formulas(name, changes, expected):
    assert getattr(parts(**changes), name) == pytest.approx([expected], rel=1e-12)


def test_the_total_is_the_weighted_sum_less_the_penalty():
    found = score.Components(*(np.array([value]) for value in (90.0, 70.0, 60.0, 40.0, 80.0, 3.0)))
    assert score.total(found, Score()) == pytest.approx([0.35 * 90 + 0.30 * 60 + 0.20 * 40 + 0.15 * 80 - 3])
    by_spot = Score(rule="score_v2")
    assert score.total(found, by_spot) == pytest.approx([0.35 * 70 + 0.30 * 60 + 0.20 * 40 + 0.15 * 80 - 3])
    only = Score(price_match=0.0, vol_mispricing=0.0, stability=1.0, fourier=0.0)
    assert score.total(found, only) == pytest.approx([37.0])


@pytest.mark.parametrize(
    ("total", "ratio", "expected"),
    [
        (75, 2.01, "STRONG_BUY"),
        (75, 2.0, "BUY"),
        (74.9, 9, "BUY"),
        (60, 1.51, "BUY"),
        (60, 1.5, "NEUTRAL"),
        (90, 1.0, "NEUTRAL"),
        (45, 0, "NEUTRAL"),
        (44.9, 9, "AVOID"),
    ],
)
def test_the_level_needs_score_and_profit_ratio(total, ratio, expected):
    assert score.level(np.array([total]), np.array([ratio])) == [expected]


def features(*, gamma: float = -0.04, theta: float = 0.02, **changes) -> dict[str, float]:
    found = reading(**changes)
    structure = choose(found, quoted=True, settings=Rules())
    greek = Greeks(*(np.array([value]) for value in (1.6, -0.01, gamma, -0.07, theta, -0.002)))
    opened = Terms(*(np.array([value]) for value in (2.0, 2.0, 3.0)))
    return {name: value[0] for name, value in butterfly_v2(found, structure, greek, opened, np.array([0.4])).items()}


def test_the_features_are_the_22_in_their_order():
    assert tuple(features()) == BUTTERFLY_V2.columns and len(BUTTERFLY_V2.columns) == 22


def test_the_schema_of_the_features_is_pinned():
    """A model answers to this hash only: a change here retires every model."""
    assert BUTTERFLY_V2.schema_hash == "a83678f0180167b3"


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("vol_mispricing", {}, 10.0),
        ("profit_ratio", {}, 1.5),
        ("max_loss", {}, 2.0),
        ("dte_factor", {}, 1.0),
        ("dte_factor", {"dominant_period": 100.0}, 1.5),
        ("price_stability", {}, 1 / 6.0),
        ("gamma_theta_ratio", {}, 2.0),
        ("gamma_theta_ratio", {"theta": 0.0}, 40.0),
        ("gamma_theta_ratio", {"theta": -0.0001, "gamma": 0.5}, 100.0),
    ],
)
def test_derived_features_are_those_of_the_formulas(name, options, expected):
    assert features(**options)[name] == pytest.approx(expected, rel=1e-12)


def test_skew_is_missing_where_prices_are_modelled():
    assert np.isnan(features()["skew_estimate"])


@pytest.mark.parametrize(
    ("changes", "opened", "reason"),
    [
        ({}, (-2.0, 3.0, 2.0), ""),
        ({"forecast": np.nan}, (-2.0, 3.0, 2.0), "analysis did not converge"),
        ({"garch_vol": np.nan}, (-2.0, 3.0, 2.0), "analysis did not converge"),
        ({"forecast": 50.0}, (-2.0, 3.0, 2.0), "lower wing below half of spot"),
        ({}, (-5.0, 0.1, 5.0), "credit not below the width"),
        ({}, (0.1, 5.1, -0.1), "no credit after costs"),
        ({"trend": 1}, (5.0, 5.0, 0.0), "debit not below the width"),
        ({"trend": 1}, (4.9, 4.9, 0.1), ""),
    ],
    ids=["iron", "no-forecast", "no-garch", "far", "all-credit", "no-credit", "all-debit", "debit"],
)
def test_a_structure_that_makes_no_sense_is_refused_with_the_reason(changes, opened, reason):
    found = reading(**changes)
    structure = choose(found, quoted=True, settings=Rules())
    mid = np.array([opened[0] * 0.9 if "trend" in changes else min(opened[0], -0.01)])
    terms = Terms(*(np.array([value]) for value in opened))
    assert tradable(structure, Quote(mid, np.array([0.0])), terms, found, Costs()) == [reason]


COSTLY = "costs of entry and exit above 40% of the risk"


@pytest.mark.parametrize(
    ("trend", "half_spread", "paid", "reason"),
    [
        (0, 0.60, 1.0, ""),  # an iron fly of width 5 for 2 risks 3: in and out 1.2, 40% of it
        (0, 0.61, 1.0, COSTLY),
        (0, 0.61, 0.5, ""),
        (1, 0.40, 1.0, ""),  # a debit fly for 2 risks 2: .8 is 40%
        (1, 0.41, 1.0, COSTLY),
    ],
)
def test_a_structure_that_costs_too_much_of_its_risk_is_refused(trend, half_spread, paid, reason):
    found = reading(trend=trend)
    structure = choose(found, quoted=True, settings=Rules())
    debit, risk = (2.0, 2.0) if trend else (-2.0, 3.0)
    terms = Terms(*(np.array([value]) for value in (debit, risk, 5.0 - risk)))
    quote = Quote(np.array([1.5 if trend else -2.5]), np.array([half_spread]))
    assert tradable(structure, quote, terms, found, Costs(half_spread_paid=paid)) == [reason]
