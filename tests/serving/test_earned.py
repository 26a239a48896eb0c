"""What is earned beyond the rule score and beyond all events: by hand, and on series whose truth is known."""

import datetime as dt
import os

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from scipy.stats import binom

from bq.serving import earned
from bq.stats.blocks import Blocks
from bq.strategies.component import Kind

FULL = bool(os.environ.get("BQ_FULL"))  # `make claims`: the whole claim; else a small form of it
SERIES = 600 if FULL else 80
SPAN = 5  # sessions that an outcome spans
ALPHA = 0.025


def overlapping(rng: np.random.Generator, sessions: int) -> np.ndarray:
    """A standard normal series in which every value shares four fifths of the next one's time."""
    return np.convolve(rng.standard_normal(sessions + SPAN - 1), np.ones(SPAN) / np.sqrt(SPAN), "valid")


def pairs(
    seed: int, *, market: float = 0.0, rule: float = 0.0, model: float = 0.0, sessions: int = 250
) -> pl.DataFrame:
    """Results of a session, in standard deviations of a choice: what all earn, and what rule and model add to it.

    Half of the variance of what rule and model add is common to both.
    """
    rng = np.random.default_rng(seed)
    everything, common, *own = (overlapping(rng, sessions) for _ in range(4))
    everything = market + 1.5 * everything
    added = [mean + np.sqrt(0.5) * (common + one) for mean, one in zip((rule, model), own, strict=True)]
    days = [dt.date(2010, 1, 1) + dt.timedelta(days=i) for i in range(sessions)]
    frame = pl.DataFrame(
        {"session": days, "everything": everything, "baseline": everything + added[0], "model": everything + added[1]}
    )
    return frame.with_columns(uplift=pl.col("model") - pl.col("baseline"))


def holds(frame: pl.DataFrame, seed: int) -> dict[str, bool]:
    """Whether the bound of each comparison is above 0, and the three that the gate asks together."""
    found = earned.series(frame) | {Kind.NET: frame["model"].to_numpy(), Kind.UPLIFT: frame["uplift"].to_numpy()}
    bounds = Blocks(1.5 * SPAN, ALPHA, 500, seed).means(np.column_stack(list(found.values())))
    state = {str(kind): one.low > 0.0 for kind, one in zip(found, bounds, strict=True)}
    better = frame["uplift"].mean() > 0.0
    return state | {"together": better and state["alpha"] and state["over_all"] and state["net"]}


def rates(**truth: float) -> dict[str, float]:
    found = [holds(pairs(seed, **truth), seed) for seed in range(SERIES)]
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def most(level: float) -> float:
    """The upper end of the 99.9% binomial band."""
    return float(binom.ppf(0.999, SERIES, level)) / SERIES


def test_alphas_are_those_of_statsmodels():
    frame = pairs(3, market=0.2, rule=0.1, model=0.3)
    found = earned.series(frame)
    by_rule = sm.OLS(frame["model"].to_numpy(), sm.add_constant(frame["baseline"].to_numpy())).fit()
    assert found[Kind.ALPHA].mean() == pytest.approx(by_rule.params[0])
    by_all = sm.OLS(frame["model"].to_numpy(), sm.add_constant(frame["everything"].to_numpy())).fit()
    assert found[Kind.OVER_ALL].mean() == pytest.approx(by_all.params[0])
    rng = np.random.default_rng(0)
    names = [f"hedge_{name}" for name in earned.WHOSE]
    hedged = frame.with_columns(pl.Series(name, rng.standard_normal(len(frame))) for name in names)
    found = earned.series(hedged)
    on = sm.add_constant(hedged.select("baseline", "hedge_model", "hedge_baseline").to_numpy())
    assert found[Kind.ALPHA].mean() == pytest.approx(sm.OLS(hedged["model"].to_numpy(), on).fit().params[0])
    on = sm.add_constant(hedged.select("everything", "hedge_model", "hedge_everything").to_numpy())
    assert found[Kind.OVER_ALL].mean() == pytest.approx(sm.OLS(hedged["model"].to_numpy(), on).fit().params[0])
    on = sm.add_constant(hedged["hedge_model"].to_numpy())
    assert found[Kind.OVER_LONG].mean() == pytest.approx(sm.OLS(hedged["model"].to_numpy(), on).fit().params[0])


def test_against_cash_there_is_no_alpha_over_all_events():
    frame = pairs(1).with_columns(everything=pl.lit(0.0))
    assert set(earned.series(frame)) == {Kind.ALPHA}


NULLS = {  # what all events and the rule's choice earn a session; the model's choice adds nothing
    "fair": {},
    "costs": {"market": -0.1},
    "trend": {"market": 0.5},
    "rule-with-skill": {"rule": 0.4},
    "rule-with-skill-in-a-trend": {"market": 0.5, "rule": 0.4},
    "rule-that-loses": {"rule": -0.4},
}


@pytest.mark.calibration
@pytest.mark.parametrize("truth", NULLS.values(), ids=NULLS)
def test_a_choice_that_adds_nothing_passes_no_more_often_than_alpha(truth):
    assert rates(**truth)["together"] <= most(ALPHA)


@pytest.mark.calibration
@pytest.mark.parametrize("held", [0.3, 1.0])
def test_holding_less_of_a_market_that_rises_or_falls_is_no_choice(held):
    """A third of the capital, the rest cash: less of a rise and less of a fall, and nothing beyond either."""
    for market in (-0.5, 0.5):
        some = [pairs(seed, market=market).with_columns(model=held * pl.col("model")) for seed in range(SERIES)]
        frames = [frame.with_columns(uplift=pl.col("model") - pl.col("baseline")) for frame in some]
        found = [holds(frame, seed)["over_all"] for seed, frame in enumerate(frames)]
        assert np.mean(found) <= most(ALPHA)


@pytest.mark.calibration
def test_each_bound_alone_errs_as_often_as_it_says():
    found = rates()
    assert max(found[name] for name in ("alpha", "over_all", "net", "uplift")) <= most(ALPHA)


@pytest.mark.calibration
def test_in_a_trend_alpha_over_the_rule_would_pass_and_alpha_over_all_events_does_not():
    """A choice at random earns what everything earns, and the rule explains but a part of it."""
    found = rates(market=0.5)
    assert found["alpha"] > 0.05 and found["over_all"] <= most(ALPHA)


@pytest.mark.calibration
def test_alpha_sees_a_skill_that_the_difference_of_two_noisy_choices_hides():
    """The rule sees part of what the model sees: of an uplift the rule's own noise is a half."""
    found = rates(market=0.5, rule=0.2, model=0.5)
    assert found["together"] >= found["uplift"] + 0.1
