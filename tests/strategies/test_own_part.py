"""The label of a forecast: what a return holds of its own, beyond the market's part and in units of its volatility."""

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from bq.strategies.task import CALMEST, WINSOR, Task

TASK = Task(outcome="return", beta="beta", volatility="volatility")
NAMES = 40


def cross_section(seed: int, *, session: int = 1, market: float = 0.1) -> pl.DataFrame:
    """A session in which the market moved and names went along by their beta, each by a volatility of its own."""
    rng = np.random.default_rng(seed)
    beta, volatility = rng.uniform(0.6, 1.4, NAMES), rng.uniform(0.25, 0.4, NAMES)
    outcome = beta * market + 0.2 * volatility * rng.standard_normal(NAMES)
    return pl.DataFrame({"session": session, "beta": beta, "volatility": volatility, "outcome": outcome})


def labels(frame: pl.DataFrame, task: Task = TASK) -> np.ndarray:
    return frame.select(task.label(pl.col("outcome"))).to_series().to_numpy()


def by_hand(frame: pl.DataFrame) -> np.ndarray:
    """The same with the residuals of statsmodels."""
    beta, volatility, outcome = (frame[name].to_numpy() for name in ("beta", "volatility", "outcome"))
    own = sm.OLS(outcome, sm.add_constant(beta)).fit().resid / volatility
    return np.clip((own - own.mean()) / own.std(ddof=1), -WINSOR, WINSOR)


def test_the_label_is_the_z_score_of_the_residual_over_the_volatility_in_each_session():
    sessions = [cross_section(seed, session=seed) for seed in (1, 2)]
    expected = np.concatenate([by_hand(frame) for frame in sessions])
    assert labels(pl.concat(sessions)) == pytest.approx(expected, abs=1e-9)


def test_how_far_the_market_moved_changes_no_label():
    still, fell = (labels(cross_section(3, market=market)) for market in (0.0, -0.3))
    assert fell == pytest.approx(still, abs=1e-9)
    assert np.abs(labels(cross_section(3, market=-0.3), Task()) - labels(cross_section(3), Task())).max() > 0.5


def test_an_open_event_has_no_label_and_moves_none():
    whole = cross_section(4)
    opened = pl.concat([whole, whole.head(3).with_columns(outcome=pl.lit(None, pl.Float64), beta=pl.lit(9.0))])
    found = labels(opened)
    assert np.isnan(found[NAMES:]).all()
    assert found[:NAMES] == pytest.approx(labels(whole), abs=1e-9)


@pytest.mark.parametrize("missing", [None, float("nan")], ids=["null", "nan"])
def test_a_name_without_beta_or_volatility_has_the_session_s_middle_ones(missing):
    whole = cross_section(5)
    first = pl.int_range(pl.len()) == 0
    torn = whole.with_columns(
        pl.when(~first).then("beta").otherwise(pl.lit(missing, pl.Float64)),
        pl.when(~first).then("volatility").otherwise(pl.lit(missing, pl.Float64)),
    )
    filled = torn.with_columns(
        pl.when(~first).then("beta").otherwise(whole["beta"][1:].mean()),
        pl.when(~first).then("volatility").otherwise(whole["volatility"][1:].median()),
    )
    assert labels(torn) == pytest.approx(labels(filled), abs=1e-9)


def test_a_name_that_hardly_moves_does_not_stand_for_the_session():
    """Such as that of a takeover at a fixed price; its volatility is near zero."""
    whole = cross_section(6)
    quiet = whole.with_columns(volatility=pl.when(pl.int_range(pl.len()) == 0).then(1e-6).otherwise("volatility"))
    least = CALMEST * float(quiet["volatility"].median())
    expected = by_hand(quiet.with_columns(pl.col("volatility").clip(lower_bound=least)))
    assert labels(quiet) == pytest.approx(expected, abs=1e-9)


def test_without_betas_or_volatilities_it_is_the_plain_z_score():
    whole = cross_section(7)
    bare = whole.with_columns(beta=pl.lit(None, pl.Float64), volatility=pl.lit(None, pl.Float64))
    assert labels(bare) == pytest.approx(labels(whole, Task()), abs=1e-9)


@pytest.mark.parametrize("outcomes", [[0.1] * 6, [0.1, 0.2, 0.3, 0.4]], ids=["equal ones", "four of them"])
def test_a_session_without_a_spread_or_of_few_names_has_no_label(outcomes):
    frame = cross_section(8).head(len(outcomes)).with_columns(outcome=pl.Series(outcomes))
    assert np.isnan(labels(frame).astype(float)).all()


def test_a_session_that_the_market_explains_wholly_has_no_label():
    frame = cross_section(9).with_columns(outcome=0.1 * pl.col("beta"))
    assert np.isnan(labels(frame).astype(float)).all()
