"""Features without price levels, the second rule score, and the labels of risk and size."""

import numpy as np
import polars as pl
import pytest
from event_samples import build, walk

from bq.strategies.butterfly import score
from bq.strategies.butterfly.features import BUTTERFLY_V2, BUTTERFLY_V3
from bq.strategies.events import refuse_leaks

RULES = "analysis.history_sessions=400"
LEVELS = ("forecast_price", "max_profit", "max_loss")  # of v2
V3_ONLY = [name for name in BUTTERFLY_V3.columns if name not in BUTTERFLY_V2.columns]


def bars(*, quoted: bool, factor: float = 1.0) -> pl.DataFrame:
    return walk("TOY", 800, seed=2).with_columns(pl.col("close") * factor, quoted=pl.lit(quoted))


def events(overrides: str = "", **options) -> pl.DataFrame:
    frame = bars(**options)
    return build(frame, {"TOY": frame["session"][600:792].gather_every(6).to_list()}, f"{RULES} {overrides}").events


@pytest.fixture(scope="module")
def quoted():
    return events(quoted=True)


@pytest.fixture(scope="module")
def unquoted():
    return events(quoted=False)


def test_the_sample_has_all_structures(quoted, unquoted):
    assert set(quoted["structure"]) == set(unquoted["structure"]) == {"CALL", "PUT", "IRON"}
    assert len(quoted) > 20 and len(unquoted) > 20


@pytest.mark.parametrize("factor", [0.01, 7.3, 1000.0], ids=str)
def test_the_unit_of_back_adjusted_prices_changes_no_feature(unquoted, factor):
    other = events(quoted=False, factor=factor)
    for name in (*BUTTERFLY_V3.columns, *BUTTERFLY_V2.columns, "outcome"):
        np.testing.assert_allclose(other[name], unquoted[name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_back_adjusted_prices_are_per_100_of_spot(unquoted):
    assert (unquoted["spot"] == 100.0).all()
    assert unquoted["forecast_price"].is_between(80, 120).all()


def test_ten_times_the_price_and_the_strike_step_leaves_v3_and_moves_the_levels_of_v2():
    """From 20 to 40 a step is 2.5; at ten times the price, 10: v3 differs only through strikes, so choose equal ones.

    The steps of 60 and 120 are both 5: prices of 400 and 4,000 have steps of 10 on both. Instead of the rules' grid the
    features are compared on structures that scale exactly: those of back-adjusted prices.
    """
    one, ten = (events(quoted=False, factor=factor) for factor in (1.0, 10.0))
    level = {name: (one[name] / one["spot"]).to_numpy() for name in LEVELS}
    same = ("forecast_return", "max_profit_share", "max_loss_share")
    for name, shared in zip(LEVELS, same, strict=True):
        expected = level[name] - (1.0 if name == "forecast_price" else 0.0)
        np.testing.assert_allclose(ten[shared], expected, rtol=1e-6, atol=1e-9)


def test_v3_follows_from_what_is_stored_of_an_event(quoted):
    e = {name: quoted[name].to_numpy() for name in quoted.columns}
    sigma = e["spot"] * e["current_iv"] * np.sqrt(e["dte_days"] / 365)
    expected = {
        "forecast_return": e["forecast_price"] / e["spot"] - 1,
        "forecast_sigmas": (e["forecast_price"] - e["spot"]) / sigma,
        "gamma_cash": e["gamma"] * e["spot"] / 100,
        "vega_share": e["vega"] / e["spot"],
        "theta_share": e["theta"] / e["spot"],
        "max_profit_share": e["max_profit"] / e["spot"],
        "max_loss_share": e["max_loss"] / e["spot"],
        "body_sigmas": (e["body"] - e["spot"]) / sigma,
        "wing_sigmas": (e["body"] - e["lower"]) / sigma,
        "is_put": (e["structure"] == "PUT").astype(float),
        "is_iron": (e["structure"] == "IRON").astype(float),
    }
    assert sorted(expected) == sorted(V3_ONLY)
    for name, values in expected.items():
        np.testing.assert_allclose(e[name], values, rtol=1e-12, err_msg=name)


def test_v3_names_no_price_level_and_no_score():
    assert not set(BUTTERFLY_V3.columns) & {*LEVELS, "gamma", "vega", "theta", "gamma_theta_ratio"}
    assert refuse_leaks(BUTTERFLY_V3) is BUTTERFLY_V3
    assert len(set(BUTTERFLY_V3.columns)) == len(BUTTERFLY_V3.columns)


@pytest.mark.parametrize("kind", ["quoted", "unquoted"])
def test_every_feature_of_v3_is_finite_where_those_of_v2_are(kind, request):
    frame = request.getfixturevalue(kind)
    v2 = frame.select(pl.col(BUTTERFLY_V2.columns).exclude("skew_estimate")).to_numpy()
    whole = np.isfinite(v2).all(axis=1)
    v3 = frame.select(pl.col(BUTTERFLY_V3.columns).exclude("skew_estimate")).to_numpy()
    assert whole.sum() > 10
    assert np.isfinite(v3[whole]).all()


def test_the_second_score_measures_the_forecast_against_spot_in_standard_deviations(quoted):
    away = (quoted["forecast_price"] - quoted["spot"]).abs()
    sigma = quoted["spot"] * quoted["current_iv"] * (quoted["dte_days"] / 365).sqrt()
    expected = 100 * np.maximum(0, 1 - (away / sigma).to_numpy())
    np.testing.assert_allclose(quoted["price_match_v2_score"], expected, rtol=1e-12)
    assert quoted["price_match_v2_score"].is_between(0, 100).all()
    assert quoted["price_match_v2_score"].std() > 0


@pytest.mark.parametrize(
    ("rule", "component"), [("score_v1", "price_match"), ("score_v2", "price_match_v2")], ids=["v1", "v2"]
)
def test_each_rule_uses_its_own_price_match(rule, component):
    frame = events(f"score.rule={rule}", quoted=True)
    weights = {component: 0.35, "vol_mispricing": 0.30, "stability": 0.20, "fourier": 0.15}
    total = sum(weight * frame[f"{name}_score"] for name, weight in weights.items()) - frame["delta_penalty_score"]
    np.testing.assert_allclose(frame["score"], total, rtol=1e-12)


def test_the_price_match_of_the_first_score_measures_the_strike_grid(quoted):
    """At most half a step from the strike: on a grid of 5 at a price of 80 it cannot fall below 84."""
    step = np.where(quoted["spot"] < 50, 2.5, np.where(quoted["spot"] < 200, 5.0, 10.0))
    least = 100 - 500 * 0.5 * step / quoted["forecast_price"].to_numpy()
    assert (quoted["price_match_score"].to_numpy() >= least - 1e-9).all()


@pytest.mark.parametrize(
    ("probability", "label"),
    [(0.9, "LOW"), (0.5, "LOW"), (0.4999, "MEDIUM"), (0.3, "MEDIUM"), (0.2999, "HIGH"), (0.0, "HIGH")],
    ids=str,
)
def test_risk_is_labelled_by_the_probability_of_profit(probability, label):
    assert score.risk_label(np.array([probability])).tolist() == [label]


SIZES = {
    ("STRONG_BUY", "LOW"): "FULL",
    ("STRONG_BUY", "MEDIUM"): "FULL",
    ("STRONG_BUY", "HIGH"): "HALF",
    ("BUY", "LOW"): "HALF",
    ("BUY", "HIGH"): "QUARTER",
    ("NEUTRAL", "MEDIUM"): "QUARTER",
    ("NEUTRAL", "HIGH"): "NONE",
    ("AVOID", "LOW"): "NONE",
    ("AVOID", "HIGH"): "NONE",
}


@pytest.mark.parametrize(("said", "size"), SIZES.items(), ids=lambda v: "-".join(v) if isinstance(v, tuple) else v)
def test_size_follows_level_and_is_one_step_less_at_high_risk(said, size):
    level, risk = said
    assert score.size_label(np.array([level]), np.array([risk])).tolist() == [size]


LEVEL_CASES = [
    (75, 2.01, "STRONG_BUY"),
    (75, 2.0, "BUY"),
    (74.9, 9, "BUY"),
    (60, 1.51, "BUY"),
    (60, 1.5, "NEUTRAL"),
    (59.9, 9, "NEUTRAL"),
    (45, 0, "NEUTRAL"),
    (44.9, 9, "AVOID"),
]


@pytest.mark.parametrize(("points", "ratio", "level"), LEVEL_CASES, ids=str)
def test_the_level_needs_both_score_and_profit_ratio(points, ratio, level):
    assert score.level(np.array([points]), np.array([ratio])).tolist() == [level]


def test_labels_of_events_follow_their_columns(quoted):
    assert set(quoted["risk_label"]) <= {"LOW", "MEDIUM", "HIGH"}
    expected = score.risk_label(quoted["prob_profit"].to_numpy())
    assert quoted["risk_label"].to_list() == expected.tolist()
    assert quoted["size_label"].to_list() == score.size_label(quoted["level"].to_numpy(), expected).tolist()
