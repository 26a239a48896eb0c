"""Rank ICs against scipy's Spearman correlation, session by session."""

import math

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from bq.stats.rank_ic import SMALLEST_CROSS_SECTION, rank_ic, spearman


def sample(*, ties: bool = False) -> pl.DataFrame:
    """Sessions of 2 to 30 events, the first rows of each without an answer, others without an outcome."""
    random = np.random.default_rng(3)
    parts = []
    for session in range(40):
        n = int(random.integers(2, 31))
        p, outcome = random.standard_normal((2, n)) + random.standard_normal(n)
        if ties:
            p, outcome = p.round(), outcome.round()
        p[random.random(n) < 0.2] = np.nan
        missing = [None if gone else x for gone, x in zip(random.random(n) < 0.2, outcome, strict=True)]
        parts.append(pl.DataFrame({"session": [session] * n, "p": p, "outcome": pl.Series(missing, dtype=pl.Float64)}))
    return pl.concat(parts)


def by_scipy(frame: pl.DataFrame, *, least: int) -> dict[int, float]:
    found = {}
    for (session,), part in frame.drop_nulls().filter(pl.col("p").is_not_nan()).group_by("session"):
        if len(part) >= least and min(part.select("p", "outcome").n_unique(subset=[c]) for c in ("p", "outcome")) > 1:
            found[session] = spearmanr(part["p"], part["outcome"]).statistic
    return found


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_a_rank_ic_is_scipys_over_the_events_that_are_known(ties):
    frame = sample(ties=ties)
    expected = by_scipy(frame, least=5)
    found = rank_ic(frame.sample(fraction=1.0, shuffle=True, seed=1), by="p")
    assert found["session"].to_list() == sorted(expected)
    assert 20 < len(found) < 40
    assert found["ic"].to_list() == pytest.approx([expected[s] for s in found["session"]], abs=1e-12)


def test_events_that_are_not_known_do_not_make_a_session_large_enough():
    four = {"p": [1.0, 2.0, 3.0, 4.0, math.nan], "outcome": [1.0, 2.0, 3.0, 4.0, 5.0]}
    open_one = {"p": [1.0, 2.0, 3.0, 4.0, 5.0], "outcome": [1.0, 2.0, 3.0, 4.0, None]}
    for columns in (four, open_one):
        assert rank_ic(pl.DataFrame({"session": [1] * 5, **columns}), by="p").is_empty()
    assert SMALLEST_CROSS_SECTION == 5


@pytest.mark.parametrize(
    ("p", "least", "expected"),
    [
        pytest.param([1.0, 2.0], 2, 1.0, id="two-events-where-two-are-enough"),
        pytest.param([1.0, 2.0], 3, None, id="fewer-than-asked-for"),
        pytest.param([1.0], 1, None, id="one-event-has-no-order"),
        pytest.param([2.0, 2.0, 2.0], 2, None, id="equal-answers-have-no-order"),
        pytest.param([1, 2, 3], 2, 1.0, id="whole-numbers"),
        pytest.param([False, True, True], 2, math.sqrt(3) / 2, id="indicator"),
    ],
)
def test_a_correlation_that_does_not_exist_is_null(p, least, expected):
    frame = pl.DataFrame({"p": p, "outcome": [float(i) for i in range(len(p))]})
    found = frame.select(spearman("p", least=least)).item()
    assert found is None if expected is None else found == pytest.approx(expected, abs=1e-12)
