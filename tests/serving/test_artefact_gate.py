"""The newest window tells an artefact from its opposite, for every strategy with its own parameters."""

import datetime as dt
import functools
import os

import numpy as np
import polars as pl
import pytest

from bq import strategies
from bq.core import params, paths
from bq.core.namespace import Tier
from bq.serving import newest as newest_window

WINDOWS = 200 if os.environ.get("BQ_FULL") else 40  # `make claims`: the whole claim
FIRST = dt.datetime(2024, 1, 2, 21, tzinfo=dt.UTC)
SHAPES = {
    # strategy: sessions of a newest window, days between them, events a session, rank IC; as on its simulated market
    "butterfly": (13, 14, (10, 10), 0.27),
    "forecast": (13, 14, (60, 60), 0.08),
    "breakout": (190, 2, (1, 6), 0.15),
}


def window(name: str, seed: int, *, skill: float | None = None) -> pl.DataFrame:
    """A newest window: what is expected correlates with the outcome, the rule score does not."""
    sessions, gap, (fewest, most), usual = SHAPES[name]
    rng = np.random.default_rng(seed)
    session = np.repeat(np.arange(sessions), rng.integers(fewest, most + 1, sessions))
    t0 = [FIRST + dt.timedelta(days=int(gap * i)) for i in session]
    said, skill = rng.standard_normal(len(session)), usual if skill is None else skill
    common = rng.standard_normal(sessions)[session]  # the market's part of every outcome
    return pl.DataFrame(
        {
            "event_id": [f"{i:05d}" for i in range(len(session))],
            "session": [at.date() for at in t0],
            "t0": t0,
            "t1": [at + dt.timedelta(days=13) for at in t0],
            "score": rng.standard_normal(len(session)),
            "outcome": common + skill * said + np.sqrt(1 - skill**2) * rng.standard_normal(len(session)),
            "expected": said,
        }
    )


def flipped(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(-pl.col("expected"))


def champion(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """One of the same recipe: it says nearly the same."""
    noise = np.random.default_rng(10_000 + seed).standard_normal(len(frame))
    return frame.with_columns(pl.col("expected") + 0.5 * noise)


@functools.cache
def settings_of(name: str):
    return params.load(paths.parameters(name), strategies.get(name).settings, overrides="gate.draws=1000")


def holds(name: str, newest: pl.DataFrame, deployed: pl.DataFrame | None = None) -> bool | None:
    return newest_window.artefact(newest, deployed, Tier.CHAMPION, settings_of(name), changed=False).holds


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("against", ["chance", "champion"])
def test_a_sign_flipped_artefact_is_refused_and_a_sound_one_kept(name, against):
    kept, refused = 0, 0
    for seed in range(WINDOWS):
        newest = window(name, seed)
        deployed = champion(newest, seed) if against == "champion" else None
        kept += holds(name, newest, deployed) is True
        refused += holds(name, flipped(newest), deployed) is False
    assert refused >= 0.9 * WINDOWS
    assert kept >= 0.8 * WINDOWS


@pytest.mark.parametrize("name", SHAPES)
def test_an_artefact_that_is_always_wrong_is_never_kept(name):
    for seed in range(5):
        wrong = window(name, seed).with_columns(expected=-pl.col("outcome"))
        assert holds(name, wrong) is False


@pytest.mark.parametrize("name", SHAPES)
def test_a_rule_that_was_worse_than_chance_is_no_excuse(name):
    """An artefact that orders events against what comes is refused also where the rule score did so more."""
    newest = window(name, 0).with_columns(expected=-pl.col("outcome"), score=-2.0 * pl.col("outcome"))
    assert holds(name, newest) is False


@pytest.mark.parametrize("name", SHAPES)
def test_an_artefact_that_says_the_same_of_every_event_is_inconclusive(name):
    assert holds(name, window(name, 0).with_columns(expected=pl.lit(0.5))) is None


def test_sessions_weigh_by_how_much_they_tell():
    """By hand: ranks of three events in order have z of ±√1.5 and 0, so a covariance of √1.5 · 2 / 3; two against it
    have ±1 and -1 / 2. They weigh 2 and 1, of a mean of 1.5. Deviations within sessions: √((2 + 0.5) / 5).
    """
    days = [dt.date(2024, 1, day) for day in (2, 2, 2, 3, 3)]
    frame = pl.DataFrame({"session": days, "outcome": [1.0, 2, 3, 1, 2], "expected": [1.0, 2, 3, 2, 1], "score": 0.0})
    ordered = newest_window.orders(frame, "score")
    wanted = (np.sqrt(1.5) * 2 / 3 * 2 / 1.5 - 0.5 * 1 / 1.5) / 2 / np.sqrt(0.5)
    assert ordered["ours"].mean() == pytest.approx(wanted) and ordered["theirs"].mean() == 0.0


def test_it_is_fair_where_outcomes_are_skewed_and_a_rank_correlation_is_not():
    """Outcomes of mean 0 whose skew grows with what is expected: independent of it on average, not in rank."""
    rng = np.random.default_rng(5)
    said = rng.standard_normal((4000, 10))
    skew = np.where(said > 0, 1.0, 0.1)
    outcome = (np.exp(skew * rng.standard_normal(said.shape)) - np.exp(skew**2 / 2)) / np.exp(skew**2 / 2)
    days = [dt.date(2000, 1, 1) + dt.timedelta(days=int(i)) for i in np.repeat(np.arange(4000), 10)]
    frame = pl.DataFrame({"session": days, "outcome": outcome.ravel(), "expected": said.ravel(), "nothing": 0.0})
    values = newest_window.orders(frame, "nothing")["ours"]
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert frame.select(pl.corr("expected", "outcome", method="spearman")).item() < -0.1
