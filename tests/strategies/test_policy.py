"""One policy: of each session the best few beyond a threshold that was known before it."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bq.core.settings import Policy
from bq.strategies import policy
from bq.strategies.policy import ABOVE, EXPECTED, FROM, SCORE

DAY = dt.date(2020, 1, 3)
BEYOND = {EXPECTED: (ABOVE, np.greater), SCORE: (FROM, np.greater_equal), "p_Win": ("threshold", np.greater_equal)}


def predictions(seed: int, *, sessions: int = 6, most: int = 7, levels: int = 5) -> pl.DataFrame:
    """Events of sessions of different sizes, with many ties and some unknown values; thresholds that are values."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, most + 1, sessions)
    n = int(sizes.sum())
    values = {name: rng.integers(-levels, levels + 1, n) / 4 for name in BEYOND}
    known = {name: pl.Series(np.where(rng.random(n) < 0.1, np.nan, column)) for name, column in values.items()}
    fold = np.repeat(np.arange(sessions) >= sessions // 2, sizes)
    least = {column: np.where(fold, *rng.integers(-levels, levels + 1, 2) / 4) for column, _ in BEYOND.values()}
    frame = pl.DataFrame(
        {
            "event_id": [f"e{i:03d}" for i in rng.permutation(n)],
            "session": [DAY + dt.timedelta(days=int(day)) for day in np.repeat(np.arange(sessions), sizes)],
            "outcome": rng.standard_normal(n),
            **known,
            **least,
        }
    )
    return frame[rng.permutation(n)]


def by_hand(frame: pl.DataFrame, by: str, k: int | None) -> set[str]:
    """Ids of the traded events, in plain loops."""
    column, beyond = BEYOND[by]
    taken: set[str] = set()
    for (_,), part in frame.group_by("session"):
        rows = [row for row in part.iter_rows(named=True) if not np.isnan(row[by]) and beyond(row[by], row[column])]
        best = sorted(rows, key=lambda row: (-row[by], row["event_id"]))
        taken |= {row["event_id"] for row in best[: len(best) if k is None else k]}
    return taken


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**16), by=st.sampled_from(sorted(BEYOND)), k=st.none() | st.integers(1, 8))
def test_what_is_traded_is_the_best_k_of_a_session_beyond_the_threshold(seed, by, k):
    frame = predictions(seed)
    traded = policy.traded(frame, by, k)
    assert set(frame.filter(traded)["event_id"]) == by_hand(frame, by, k)
    chosen = policy.chosen(frame, by, k)
    assert set(chosen["event_id"]) == by_hand(frame, by, k)
    assert chosen["session"].is_sorted()
    assert all(part[by].is_sorted(descending=True) for _, part in chosen.group_by("session"))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**16), by=st.sampled_from(sorted(BEYOND)), k=st.none() | st.integers(1, 8))
def test_a_session_earns_its_trades_over_its_slots_and_without_a_trade_nothing(seed, by, k):
    frame = predictions(seed)
    ids, earned = by_hand(frame, by, k), policy.earned(frame, by, k)
    assert earned["session"].to_list() == frame["session"].unique().sort().to_list()
    for session, value in earned.rows():
        part = frame.filter(pl.col("session") == session)
        slots = len(part) if k is None else min(k, len(part))
        taken = part.filter(pl.col("event_id").is_in(sorted(ids)))
        assert value == pytest.approx(taken["outcome"].sum() / slots, abs=1e-12)
        assert value == 0.0 or len(taken)
    chosen = policy.chosen(frame, by, k)
    weighed = (chosen["weight"] * chosen["outcome"]).sum()
    assert weighed == pytest.approx(earned["value"].sum(), abs=1e-9)
    assert all(part["weight"].sum() <= 1.0 + 1e-12 for _, part in chosen.group_by("session"))


def test_without_a_threshold_all_slots_are_filled_as_a_stream_of_an_older_version_was_judged():
    frame = predictions(3).drop(ABOVE)
    traded = policy.traded(frame, EXPECTED, 2)
    known = frame.filter(pl.col(EXPECTED).is_not_nan()).group_by("session").len()["len"].clip(0, 2).sum()
    assert traded.sum() == known
    nothing = frame.with_columns(pl.lit(None, pl.Float64).alias(ABOVE))
    assert policy.traded(nothing, EXPECTED, 2).to_list() == traded.to_list()


def test_an_expectation_must_exceed_its_threshold_and_a_score_reach_it():
    day = pl.DataFrame({"session": [DAY] * 2, "event_id": ["a", "b"], EXPECTED: [0.0, 0.1], SCORE: [60.0, 59.9]})
    day = day.with_columns(pl.lit(0.0).alias(ABOVE), pl.lit(60.0).alias(FROM))
    assert policy.traded(day, EXPECTED, None).to_list() == [False, True]
    assert policy.traded(day, SCORE, None).to_list() == [True, False]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**16), k=st.none() | st.integers(1, 8))
def test_the_rule_trades_as_often_as_the_model_on_the_events_that_its_threshold_was_chosen_on(seed, k):
    rng = np.random.default_rng(seed)
    frame = predictions(seed).with_columns(score=pl.Series(rng.permutation(len(predictions(seed))).astype(float)))
    own = Policy(k=k)
    wanted = policy.traded(frame, EXPECTED, k).sum()
    least = policy.score_from(frame, EXPECTED, own)
    made = policy.traded(frame.with_columns(pl.lit(least).alias(FROM)), SCORE, k).sum()
    slots = policy.traded(frame.drop(FROM), SCORE, k).sum()
    assert made == min(wanted, slots)


def test_with_equal_scores_the_nearest_number_of_trades_is_taken():
    day = pl.DataFrame({"session": [DAY] * 6, "event_id": list("abcdef"), SCORE: [3.0, 3.0, 2.0, 2.0, 2.0, 1.0]})
    for wanted, made in {0: 0, 1: 0, 2: 2, 3: 2, 4: 5, 5: 5, 6: 6}.items():
        known = day.with_columns(expected=pl.Series([1.0] * wanted + [-1.0] * (6 - wanted)), expected_above=0.0)
        least = policy.score_from(known, EXPECTED, Policy())
        assert (day[SCORE] >= least).sum() == made, wanted


def test_no_score_gives_no_threshold():
    day = pl.DataFrame({"session": [DAY], "event_id": ["a"], SCORE: [np.nan], EXPECTED: [1.0]})
    assert policy.score_from(day, EXPECTED, Policy()) is None
