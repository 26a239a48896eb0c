"""Figures of decisions that count: against scikit-learn and scipy, by hand, and where there is none."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score

from bq.monitoring import performance
from bq.monitoring.performance import Baseline, Measure, Why
from bq.monitoring.predictions import Promise, Subject
from bq.strategies.contract import Strategy, Value
from bq.strategies.task import Task
from tests.season import CLASSES, MODEL, PRIOR, season, subject

INDEX = {name: place for place, name in enumerate(CLASSES)}


@pytest.fixture(scope="module")
def counted() -> pl.DataFrame:
    return season(200)


@pytest.fixture(scope="module")
def figures(counted) -> pl.DataFrame:
    return performance.figures(counted, subject())


def one(figures: pl.DataFrame, measure: Measure, baseline: Baseline | None = None) -> dict:
    rows = figures.filter(pl.col("measure") == measure)
    return (rows if baseline is None else rows.filter(pl.col("baseline_is") == baseline)).row(0, named=True)


def test_figures_of_classes_are_those_of_scikit_learn(counted, figures):
    # every session has as many events, so that a mean over sessions is one over events
    label = counted["label"].replace_strict(INDEX, return_dtype=pl.Int64).to_numpy()
    said = np.array(counted["probabilities"].to_list())
    prior = np.tile(PRIOR, (len(said), 1))
    hits = one(figures, Measure.ACCURACY)
    assert hits["value"] == pytest.approx(accuracy_score(label, said.argmax(axis=1)))
    assert hits["baseline"] == pytest.approx((label == 0).mean())  # the majority of what was promised
    for measure, score in ((Measure.LOG_LOSS, log_loss), (Measure.BRIER, brier_score_loss)):
        row = one(figures, measure)
        assert row["value"] == pytest.approx(score(label, said, labels=range(4)))
        assert row["baseline"] == pytest.approx(score(label, prior, labels=range(4)))
    assert one(figures, Measure.AUC)["value"] == pytest.approx(roc_auc_score(label == 3, said[:, 3]))


def test_rank_ic_is_the_mean_of_scipys_over_sessions(counted, figures):
    for column, name in (("expected", "value"), ("score", "baseline")):
        each = [spearmanr(day[column], day["outcome"]).statistic for day in counted.partition_by("session")]
        assert one(figures, Measure.RANK_IC)[name] == pytest.approx(np.mean(each))


def test_realised_less_predicted_of_all_events_and_of_what_was_traded(counted, figures):
    gap = counted["outcome"] - counted["expected"]
    assert one(figures, Measure.BIAS)["value"] == pytest.approx(gap.mean())
    traded = counted.with_columns(gap=gap).filter("should_trade").group_by("session").agg(pl.col("gap").mean())
    assert one(figures, Measure.BIAS_OF_TRADES)["value"] == pytest.approx(traded["gap"].mean())


def test_every_figure_stands_beside_a_baseline_its_sample_and_how_long_a_verdict_takes(figures):
    assert figures["measure"].unique().sort().to_list() == sorted(set(Measure) - {Measure.SQUARED_ERROR})
    assert figures["baseline"].null_count() == 0 and (figures["events"] == 1600).all()
    judged = figures.filter(pl.col("measure") != Measure.CALIBRATION)
    assert (
        judged.select("low", "high", "difference_low", "difference_high", "months").null_count().sum_horizontal()[0]
        == 0
    )
    assert (judged["low"] <= judged["value"]).all() and (judged["value"] <= judged["high"]).all()
    gap = judged["value"] - judged["baseline"] - judged["difference"]
    assert gap.abs().max() == pytest.approx(0.0, abs=1e-12)
    targets = {row["measure"]: (row["target_low"], row["target_high"]) for row in figures.to_dicts()}
    assert targets[Measure.ACCURACY] == (0.45, 0.55) and targets[Measure.WIN_RATE] == (0.35, 0.45)
    assert targets[Measure.BIAS_OF_TRADES] == (-0.15, 0.15) and targets[Measure.AUC] == (None, None)


def two_sessions(**changes) -> pl.DataFrame:
    """Two sessions of three events; in the first two trades of at most two, in the second one."""
    base = season(2, symbols=3).sort("session", "event_id")
    return base.with_columns(
        outcome=pl.Series([0.6, -0.3, 0.1, 0.4, 0.2, -0.6]),
        should_trade=pl.Series([True, True, False, False, True, False]),
        score=pl.Series([70.0, 50.0, 60.0, 40.0, 30.0, 20.0]),
        **changes,
    )


def test_what_was_traded_earned_by_slots_beside_the_rule_and_all_events():
    found = performance.figures(two_sessions(), subject(k=2, score_from=55.0))
    # two slots a session: (.6 - .3) / 2, then .2 / 2 with the other slot in cash
    assert one(found, Measure.NET, Baseline.RULE)["value"] == pytest.approx((0.15 + 0.1) / 2)
    # the rule trades 70 and 60 of the first session and nothing of the second
    assert one(found, Measure.NET, Baseline.RULE)["baseline"] == pytest.approx((0.35 + 0.0) / 2)
    assert one(found, Measure.NET, Baseline.EVERYTHING)["baseline"] == pytest.approx((0.4 / 3 + 0.0) / 2)
    won = one(found, Measure.WIN_RATE)
    assert won["value"] == pytest.approx((0.5 + 1.0) / 2) and won["baseline"] == pytest.approx(2 / 3)


def test_of_few_blocks_there_is_a_figure_and_no_interval():
    found = performance.figures(season(60), subject())
    hits = one(found, Measure.ACCURACY)
    assert hits["value"] is not None and hits["blocks"] < 5
    assert (hits["low"], hits["high"], hits["difference_low"], hits["months"]) == (None, None, None, None)


def test_open_decisions_and_those_in_sample_count_nowhere(counted, figures):
    late = pl.col("session") > counted["session"].unique().sort()[99]
    still = counted.with_columns(pl.when(~late).then(pl.col("outcome", "label", "t1")))
    assert (performance.figures(still, subject())["events"] == 800).all()
    remembered = counted.with_columns(in_sample=late)
    assert performance.figures(remembered, subject()).equals(performance.figures(still, subject()))
    unknown = counted.with_columns(in_sample=pl.lit(None, pl.Boolean))
    assert performance.figures(unknown, subject()).equals(figures)


def test_nothing_counted_gives_no_row(counted):
    empty = counted.clear()
    for by in (None, *performance.BY):
        assert performance.figures(empty, subject(), by=by).is_empty()
    assert performance.figures(counted.with_columns(outcome=pl.lit(None, pl.Float64)), subject()).is_empty()


@pytest.mark.parametrize("by", performance.BY)
def test_groups_are_parts_of_the_whole(counted, by):
    marked = counted.with_columns(track=pl.when(pl.col("symbol") < "S04").then(pl.lit("rule")).otherwise(pl.lit("ml")))
    found = performance.figures(marked, subject(), by=by)
    sizes = found.group_by(by).agg(pl.col("events").first())
    assert sizes["events"].sum() == len(marked) and found[by].null_count() == 0
    hit = pl.col("probabilities").list.arg_max() == pl.col("label").replace_strict(INDEX, return_dtype=pl.Int64)
    week = pl.col("session").dt.truncate("1w").alias("week")
    means = marked.with_columns(week).group_by(by, "session").agg(hit.mean().alias("hit"))
    means = means.group_by(by).agg(pl.col("hit").mean())
    both = found.filter(pl.col("measure") == Measure.ACCURACY).join(means, on=by)
    assert len(both) == len(sizes) and (both["value"] - both["hit"]).abs().max() < 1e-12


def test_weeks_come_in_order(counted):
    weeks = performance.figures(counted, subject(), by="week")["week"]
    assert weeks.is_sorted() and weeks[0] == dt.date(2016, 1, 4) and (weeks.dt.weekday() == 1).all()


def test_without_a_promise_the_baseline_knows_the_classes_in_hindsight(counted, figures):
    own = subject()._replace(promises={})
    found = performance.figures(counted, own)
    shares = counted["label"].value_counts(normalize=True)["proportion"]
    assert one(found, Measure.ACCURACY)["in_hindsight"] is True
    assert one(found, Measure.BRIER)["baseline"] == pytest.approx(1 - (shares**2).sum())
    assert one(found, Measure.BRIER)["baseline"] < one(figures, Measure.BRIER)["baseline"]
    assert one(figures, Measure.ACCURACY)["in_hindsight"] is False and one(found, Measure.AUC)["in_hindsight"] is None


def test_the_rule_score_predicts_nothing_and_is_still_measured_by_what_it_earns(counted):
    ruled = counted.with_columns(
        tier=pl.lit(3, pl.Int32),
        model_id=pl.lit(None, pl.String),
        should_trade=(pl.col("score") >= 55) & (pl.col("score").rank("ordinal", descending=True).over("session") <= 3),
        **{name: pl.lit(None, counted.schema[name]) for name in ("probabilities", "predicted_class", "expected")},
    )
    found = performance.figures(ruled, subject())
    nothing = {Measure.ACCURACY, Measure.LOG_LOSS, Measure.BRIER, Measure.CALIBRATION, Measure.AUC}
    nothing |= {Measure.BIAS, Measure.BIAS_OF_TRADES}
    for measure in nothing:
        row = one(found, measure)
        assert row["value"] is None and row["why"] == Why.NO_MODEL, measure
    assert one(found, Measure.NET, Baseline.RULE)["difference"] == pytest.approx(0.0)
    assert one(found, Measure.RANK_IC)["value"] == pytest.approx(one(found, Measure.RANK_IC)["baseline"])


def of_two_tiers(counted: pl.DataFrame) -> pl.DataFrame:
    """The second half is decided by the second tier, with probabilities of failure and success."""
    success = counted["expected"].rank() / (len(counted) + 1)
    second = counted.with_columns(
        tier=pl.lit(2, pl.Int32),
        model_id=pl.lit("fedcba9876543210"),
        probabilities=pl.concat_list(1 - success, success),
        predicted_class=pl.when(success > 0.5).then(pl.lit("Success")).otherwise(pl.lit("Failure")),
    )
    late = pl.col("session") > counted["session"].unique().sort()[99]
    return pl.concat([counted.filter(~late), second.filter(late)])


def test_the_second_tier_is_measured_by_its_own_classes(counted):
    own = subject()
    strategy = Strategy(**vars(own.strategy) | {"success": Task(("Failure", "Success"), (1e-12,))})
    both = performance.figures(of_two_tiers(counted), own._replace(strategy=strategy))
    first, second = (both.filter(pl.col("tier") == tier) for tier in (1, 2))
    late = of_two_tiers(counted).filter(pl.col("tier") == 2)
    won, chance = late["outcome"] > 0, late["probabilities"].list.get(1)
    assert one(second, Measure.AUC)["value"] == pytest.approx(roc_auc_score(won, chance))
    assert one(second, Measure.BRIER)["value"] == pytest.approx(brier_score_loss(won, chance))
    assert one(second, Measure.ACCURACY)["value"] == pytest.approx((won == (chance > 0.5)).mean())
    assert one(first, Measure.ACCURACY)["events"] == one(second, Measure.ACCURACY)["events"] == 800


def test_a_regression_has_no_classes_but_a_squared_error_beside_predicting_nothing(counted):
    own = subject()
    strategy = Strategy(
        name="butterfly", settings=own.strategy.settings, table=own.strategy.table, task=lambda settings: Task(),
        value=Value(sizes=lambda events, by, settings: events[by]),
    )  # fmt: skip
    nothing = {name: pl.lit(None, counted.schema[name]) for name in ("probabilities", "predicted_class", "label")}
    z = ((pl.col("expected") - pl.col("expected").mean()) / pl.col("expected").std()).over("session")
    sized = counted.with_columns(expected=0.3 * z, weight=z / 8, **nothing)
    found = performance.figures(sized, Subject(strategy, own.settings, {MODEL: Promise()}))
    assert one(found, Measure.ACCURACY)["why"] == Why.NO_CLASSES and one(found, Measure.AUC)["why"] == Why.NO_CLASSES
    assert one(found, Measure.BIAS)["why"] == Why.Z_SCORES
    squared = one(found, Measure.SQUARED_ERROR)
    day = sized.partition_by("session")[0]
    came = (day["outcome"] - day["outcome"].mean()) / day["outcome"].std()
    assert squared["value"] < squared["baseline"] == pytest.approx(7 / 8, abs=0.01)  # of eight z-scores, few cut at 3
    weekly = performance.figures(
        sized.filter(pl.col("session") == day["session"][0]), Subject(strategy, own.settings, {})
    )
    assert one(weekly, Measure.SQUARED_ERROR)["value"] == pytest.approx(((day["expected"] - came) ** 2).mean())
    earned = sized.group_by("session").agg((pl.col("weight") * pl.col("outcome")).sum())["weight"].mean()
    net = one(found, Measure.NET, Baseline.RULE)
    assert net["value"] == pytest.approx(earned) and net["why"] == Why.NOT_RECORDED and net["baseline"] is None
    residual = replace(strategy, task=lambda settings: Task(beta="market_beta_60", volatility="volatility_60"))
    freed = performance.figures(sized, Subject(residual, own.settings, {MODEL: Promise()}))
    squared = one(freed, Measure.SQUARED_ERROR)
    assert (squared["value"], squared["why"]) == (None, Why.RESIDUAL)  # of features that are not recorded
    assert one(freed, Measure.NET, Baseline.RULE)["value"] == pytest.approx(earned)


def test_one_class_alone_has_no_area_and_small_sessions_have_no_rank_ic(counted):
    same = counted.with_columns(label=pl.lit("Good"), outcome=pl.lit(0.4))
    assert one(performance.figures(same, subject()), Measure.AUC)["why"] == Why.ONE_CLASS
    small = counted.filter(pl.col("symbol") < "S03")
    assert one(performance.figures(small, subject()), Measure.RANK_IC)["why"] == Why.SMALL_SESSIONS


def test_without_a_trade_there_is_no_win_rate_and_nothing_was_earned(counted):
    found = performance.figures(counted.with_columns(should_trade=False), subject())
    assert one(found, Measure.WIN_RATE)["why"] == one(found, Measure.BIAS_OF_TRADES)["why"] == Why.NO_TRADE
    assert one(found, Measure.NET)["value"] == 0.0
