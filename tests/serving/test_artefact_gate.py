"""The newest window tells an artefact from its opposite, for every strategy with its own parameters."""

import datetime as dt
import functools
import os

import numpy as np
import polars as pl
import pytest

from bq import strategies
from bq.core import params, paths
from bq.serving import gates
from bq.serving.gates import Incumbent

WINDOWS = 200 if os.environ.get("BQ_FULL") else 40  # `make calibrate`: the whole claim
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


def champion(frame: pl.DataFrame, seed: int) -> Incumbent:
    """One of the same recipe: it says nearly the same."""
    noise = np.random.default_rng(10_000 + seed).standard_normal(len(frame))
    return Incumbent("ours", frame.with_columns(pl.col("expected") + 0.5 * noise), None)


@functools.cache
def settings_of(name: str):
    return params.load(paths.parameters(name), strategies.get(name).settings, overrides="gate.draws=1000")


def holds(name: str, newest: pl.DataFrame, incumbent: Incumbent | None = None) -> bool | None:
    return gates.artefact(newest, incumbent, settings_of(name), changed=False).holds


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("against", ["rule", "champion"])
def test_a_sign_flipped_artefact_is_refused_and_a_sound_one_kept(name, against):
    kept, refused = 0, 0
    for seed in range(WINDOWS):
        newest = window(name, seed)
        incumbent = champion(newest, seed) if against == "champion" else None
        kept += holds(name, newest, incumbent) is True
        refused += holds(name, flipped(newest), incumbent) is False
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
    """By hand: ICs 1 of three events and -1 of two weigh 2 and 1: a mean of 1/3."""
    days = [dt.date(2024, 1, day) for day in (2, 2, 2, 3, 3)]
    frame = pl.DataFrame({"session": days, "outcome": [1.0, 2, 3, 1, 2], "expected": [1.0, 2, 3, 2, 1], "score": 0.0})
    ranks = gates._orders(frame, "score")
    assert ranks["ours"].mean() == pytest.approx(1 / 3) and ranks["theirs"].mean() == 0.0
