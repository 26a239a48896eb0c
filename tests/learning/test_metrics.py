"""Figures of out-of-sample predictions, each against an independent computation."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy.stats import spearmanr
from toy_strategy import FEATURES, TASK, TOY, toy_events, toy_settings

from bq.learning import metrics
from bq.stats.blocks import Blocks
from bq.stats.rank_ic import rank_ic
from bq.strategies import policy

BLOCKS = Blocks(block=2.0, alpha=0.05, draws=1000, seed=1)
TOP_2 = toy_settings(policy={"k": 2})


@pytest.fixture(scope="module")
def predictions() -> pl.DataFrame:
    """Made-up predictions of 30 weekly sessions of 6 events, with every column of an out-of-sample stream."""
    rng = np.random.default_rng(5)
    events = toy_events(sessions=32).filter(pl.col("outcome").is_not_null()).head(180)
    p = rng.dirichlet([2.0, 3.0, 2.0], len(events)).astype(np.float32)
    prior = np.repeat([[0.2, 0.5, 0.3]], len(events), axis=0)
    columns = {f"p_{name}": p[:, i] for i, name in enumerate(TASK.classes)}
    priors = {f"prior_{name}": prior[:, i] for i, name in enumerate(TASK.classes)}
    return events.with_columns(
        predicted=pl.Series(p.argmax(axis=1)), expected=pl.Series(rng.standard_normal(len(events))), **columns, **priors
    )


def sessions_of(frame: pl.DataFrame) -> list[pl.DataFrame]:
    return [part for _, part in frame.sort("session").group_by("session", maintain_order=True)]


def figure(predictions: pl.DataFrame, metric: str, *, against: str | None = None) -> dict:
    rows = metrics.table(predictions, TOY, TOP_2, TASK, blocks=BLOCKS).filter(pl.col("metric") == metric)
    return (rows if against is None else rows.filter(pl.col("baseline_is") == against)).row(0, named=True)


def test_accuracy_stands_beside_the_majority_class_of_training(predictions):
    parts = sessions_of(predictions)
    ours = np.mean([np.mean(part["predicted"].to_numpy() == part["label"].to_numpy()) for part in parts])
    majority = np.mean([np.mean(part["label"].to_numpy() == 1) for part in parts])  # the prior's largest class
    row = figure(predictions, "accuracy")
    assert (row["value"], row["baseline"]) == pytest.approx((ours, majority))
    assert row["baseline_is"] == "majority class of training"
    assert (row["sessions"], row["events"]) == (len(parts), len(predictions))


def test_log_loss_stands_beside_that_of_the_class_prior(predictions):
    p = predictions.select("p_Loss", "p_Small", "p_Good").to_numpy()
    prior = np.array([0.2, 0.5, 0.3])
    label = predictions["label"].to_numpy()
    by_row = predictions.with_columns(
        ours=pl.Series([-np.log(p[i, c]) for i, c in enumerate(label)]), theirs=pl.Series(-np.log(prior[label]))
    )
    expected = [np.mean([part[name].mean() for part in sessions_of(by_row)]) for name in ("ours", "theirs")]
    row = figure(predictions, "log-loss")
    assert [row["value"], row["baseline"]] == pytest.approx(expected, rel=1e-6)


def test_log_loss_of_an_impossible_class_is_finite(predictions):
    certain = predictions.with_columns(p_Loss=pl.lit(1.0), p_Small=pl.lit(0.0), p_Good=pl.lit(0.0))
    assert metrics.log_loss(certain, TASK).max() == pytest.approx(-np.log(1e-7))


def test_bias_is_expected_minus_realised(predictions):
    expected = np.mean([(part["expected"] - part["outcome"]).mean() for part in sessions_of(predictions)])
    assert figure(predictions, "bias")["value"] == pytest.approx(expected)


@pytest.mark.parametrize("by", ["expected", "score"])
def test_rank_ic_is_spearman_within_each_session(predictions, by):
    ours = rank_ic(predictions, by=by)
    expected = [spearmanr(part[by], part["outcome"]).statistic for part in sessions_of(predictions)]
    assert ours["ic"].to_numpy() == pytest.approx(expected, abs=1e-12)
    assert ours["session"].is_sorted()


def test_sessions_too_small_or_without_an_order_have_no_rank_ic(predictions):
    first, second, third = predictions["session"].unique().sort().head(3)
    two = predictions.filter(pl.col("session") == first).head(2)
    constant = predictions.filter(pl.col("session") == second).with_columns(expected=pl.lit(1.0))
    whole = predictions.filter(pl.col("session") == third)
    ours = rank_ic(pl.concat([two, constant, whole]), by="expected")
    assert ours["session"].to_list() == [third]


def test_rank_ic_stands_beside_that_of_the_rule_score(predictions):
    row = figure(predictions, "rank IC")
    assert row["value"] == pytest.approx(rank_ic(predictions, by="expected")["ic"].mean())
    assert row["baseline"] == pytest.approx(rank_ic(predictions, by="score")["ic"].mean())


def test_a_stream_without_any_rank_ic_says_so_instead_of_inventing_one(predictions):
    pairs = pl.concat([part.head(2) for part in sessions_of(predictions)])
    row = figure(pairs, "rank IC")
    assert np.isnan([row["value"], row["low"], row["high"]]).all()
    assert (row["baseline"], row["sessions"]) == (None, 0)


def top_by_hand(part: pl.DataFrame, by: str, k: int) -> float:
    rows = sorted(part.iter_rows(named=True), key=lambda row: (-row[by], row["event_id"]))
    return float(np.mean([row["outcome"] for row in rows[:k]]))


def test_uplift_compares_equal_k_on_the_same_sessions(predictions):
    pairs = metrics.versus(predictions, TOY, TOP_2)
    parts = sessions_of(predictions)
    model = [top_by_hand(part, "expected", 2) for part in parts]
    rule = [top_by_hand(part, "score", 2) for part in parts]
    assert pairs["model"].to_list() == pytest.approx(model)
    assert pairs["baseline"].to_list() == pytest.approx(rule)
    assert pairs["everything"].to_list() == pytest.approx([part["outcome"].mean() for part in parts])
    assert pairs["uplift"].to_list() == pytest.approx(np.subtract(model, rule))
    assert figure(predictions, "uplift over rule score")["value"] == pytest.approx(np.mean(np.subtract(model, rule)))
    assert figure(predictions, "net ROI of at most 2 trades a session", against="all events")[
        "baseline"
    ] == pytest.approx(pairs["everything"].mean())


def test_a_session_with_fewer_events_than_k_gives_the_mean_of_all(predictions):
    pairs = metrics.versus(predictions, TOY, toy_settings(policy={"k": 100}))
    assert pairs["uplift"].abs().max() == pytest.approx(0.0, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**16), levels=st.integers(1, 3), k=st.integers(1, 6))
def test_ties_do_not_depend_on_the_order_of_rows(seed, levels, k):
    rng = np.random.default_rng(seed)
    frame = toy_events(sessions=5).with_columns(
        expected=pl.Series(rng.integers(0, levels, 30).astype(float)), outcome=pl.Series(rng.standard_normal(30))
    )
    ours = policy.earned(frame, "expected", k)
    assert_frame_equal(ours, policy.earned(frame[rng.permutation(30)], "expected", k))
    assert ours["value"].to_list() == pytest.approx([top_by_hand(part, "expected", k) for part in sessions_of(frame)])


@pytest.mark.parametrize("missing", [None, np.nan], ids=["null", "NaN"])
def test_an_event_without_a_score_is_never_among_the_best(missing):
    frame = toy_events(sessions=1).with_columns(
        expected=pl.Series([missing, 1.0, 2.0, missing, 3.0, 0.0], dtype=pl.Float64),
        outcome=pl.Series([100.0, 1.0, 2.0, 100.0, 3.0, 0.0]),
    )
    assert policy.earned(frame, "expected", 3)["value"].to_list() == [2.0]


def test_calibration_error_is_the_mean_gap_weighted_by_events(predictions):
    p = predictions.select("p_Loss", "p_Small", "p_Good").to_numpy().astype(float)
    hit = np.eye(3)[predictions["label"].to_numpy()]
    bin_of = np.minimum((p * 10).astype(int), 9).ravel()
    gaps = [
        abs(p.ravel()[bin_of == b].mean() - hit.ravel()[bin_of == b].mean()) * (bin_of == b).sum()
        for b in np.unique(bin_of)
    ]
    assert metrics.calibration_error(predictions, TASK) == pytest.approx(sum(gaps) / p.size, abs=1e-6)
    assert metrics.calibration(predictions, TASK)["n"].sum() == p.size


def test_true_probabilities_are_calibrated_and_certainty_is_not():
    rng = np.random.default_rng(2)
    p = rng.dirichlet([1.0, 1.0, 1.0], 20_000)
    label = (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
    honest = pl.DataFrame({"p_Loss": p[:, 0], "p_Small": p[:, 1], "p_Good": p[:, 2], "label": label})
    assert metrics.calibration_error(honest, TASK) < 0.01
    best = p.argmax(axis=1)
    certain = honest.with_columns(*(pl.Series(f"p_{n}", (best == i) * 1.0) for i, n in enumerate(TASK.classes)))
    assert metrics.calibration_error(certain, TASK) > 0.15


def test_wilson_interval_of_a_bin_agrees_with_scipy(predictions):
    from scipy.stats import binomtest

    for row in metrics.calibration(predictions, TASK).iter_rows(named=True):
        hits = round(row["observed"] * row["n"])
        interval = binomtest(hits, row["n"]).proportion_ci(method="wilson")
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high), abs=1e-4)


def test_a_probability_of_one_falls_into_the_last_bin():
    frame = pl.DataFrame({"p_Loss": [1.0], "p_Small": [0.0], "p_Good": [0.0], "label": [0]})
    assert metrics.calibration(frame, TASK)["bin"].to_list() == [0, 9]


def test_feature_ic_agrees_with_scipy_on_the_events_that_have_the_feature():
    events = toy_events()
    ours = metrics.feature_ic(events, FEATURES.columns, blocks=BLOCKS)
    closed = events.filter(pl.col("outcome").is_not_null())
    for name in FEATURES.columns:
        expected = []
        for part in sessions_of(closed.filter(pl.col(name).is_not_nan())):
            if len(part) >= 5:
                expected.append(spearmanr(part[name], part["outcome"]).statistic)
        row = ours.row(by_predicate=pl.col("feature") == name, named=True)
        assert row["ic"] == pytest.approx(np.mean(expected))
        assert row["sessions"] == len(expected)
        assert row["low"] < row["ic"] < row["high"]
    assert ours["feature"][0] == "signal"


def test_two_events_with_the_feature_have_no_ic():
    events = toy_events(sessions=10).with_columns(
        gappy=pl.when(pl.col("symbol") < "S02").then(pl.col("gappy").fill_nan(0.5)).otherwise(np.nan)
    )
    ours = metrics.feature_ic(events, FEATURES.columns, blocks=BLOCKS)
    row = ours.row(by_predicate=pl.col("feature") == "gappy", named=True)
    assert (row["ic"], row["low"], row["sessions"]) == (None, None, 0)
    assert ours["feature"][-1] == "gappy", "features without an IC stand last"
