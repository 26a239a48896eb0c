"""The sentences below the figures say what stands in the tables that are drawn, or why there is nothing to say."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from bq.learning import summaries
from bq.workbench import reading

KINDS = {"kind": ["fast", "slow"], "events": [1200, 300], "closed": [1100, 290]}
KINDS |= {"mean_outcome": [0.03, -0.21], "win_rate": [0.55, 0.4]}
BINS = {"predicted": [0.2, 0.5], "observed": [0.22, 0.7], "low": [0.1, 0.6], "high": [0.3, 0.8], "n": [100, 400]}
THRESHOLDS = [
    {"above": 0.0, "policy": True, "trades": 1196, "value": -0.0009, "low": -0.0528, "high": 0.0518}
    | {"rule_trades": 1, "rule_value": 0.01, "rule_low": None, "rule_high": None},
]
IC = {"feature": ["gamma", "delta"], "ic": [-0.19, 0.02], "low": [-0.29, -0.08], "high": [-0.09, 0.12]}
LAYERS = {"layer": ["trees", "stack"], "ic": [0.05, 0.06], "stack_adds": [0.01, 0.0]}
LAYERS |= {"adds_low": [-0.02, 0.0], "adds_high": [0.04, 0.0]}
DAYS = pl.date_range(dt.date(2020, 1, 6), dt.date(2020, 1, 9), "1d", eager=True)
TRIALS = pl.DataFrame(
    {
        "number": [0, 1, 2, 3, 4],
        "state": ["feasible", "feasible", "feasible", "feasible", "infeasible"],
        "value": [0.8, 1.0, 0.5, 1.5, None],
        "stop": [2.0, 2.5, 3.0, 2.25, 9.0],
    }
)


def deciles(*means: float) -> pl.DataFrame:
    return pl.DataFrame({"decile": range(1, len(means) + 1), "outcome": means})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(
            lambda: reading.kinds(pl.DataFrame(KINDS), "kind"),
            "1,500 events, of which 1,390 have an outcome. By kind, fast earned most (+0.03 on average, 55% above 0) "
            "and slow least (-0.21, 40% above 0).",
            id="kinds",
        ),
        pytest.param(
            lambda: reading.kinds(pl.DataFrame(KINDS).with_columns(pl.col("mean_outcome") - 0.5), "kind"),
            "1,500 events, of which 1,390 have an outcome. By kind, fast lost least (-0.47 on average, 55% above 0) "
            "and slow most (-0.71, 40% above 0).",
            id="kinds that lost",
        ),
        pytest.param(
            lambda: reading.years(pl.DataFrame({"year": ["2019", "2020"], "fast": [10, 7], "slow": [None, 1]})),
            "2019 has the most events (10), 2020 the fewest (8); the first and the last year may be incomplete.",
            id="years",
        ),
        pytest.param(
            lambda: reading.refusals(pl.DataFrame({"reason": ["no bar", "short"], "dates": [3, 1]})),
            "4 dates gave no event, 75% of them by: no bar.",
            id="refusals",
        ),
        pytest.param(
            lambda: reading.outcomes(pl.DataFrame({"outcome": [-1.0, 0.0, 0.5, 1.0, 2.0]})),
            "Half of the outcomes lie between 0.00 and +1.00, with median +0.50 and mean +0.50; 60% are above 0.",
            id="outcomes",
        ),
        pytest.param(
            lambda: reading.deciles(deciles(-0.21, -0.1, -0.15, 0.03), "rule score"),
            "The top decile of the rule score earned +0.03 on average, the lowest -0.21; from decile to decile the "
            "mean rises in 2 of 3 steps.",
            id="deciles",
        ),
        pytest.param(
            lambda: reading.rank_ics(pl.DataFrame(IC), label="feature", score_ic=-0.07),
            "gamma has the largest rank IC, -0.190 [-0.290, -0.090]; the rule score has -0.070. The interval excludes "
            "0 for 1 of 2 features.",
            id="rank ICs",
        ),
        pytest.param(
            lambda: reading.correlations(["a", "b", "c"], [[1, -0.95, 0.1], [-0.95, 1, 0.2], [0.1, 0.2, 1]]),
            "a and b are the most correlated (-0.95); 1 of 3 pairs have a rank correlation of 0.9 or more in size.",
            id="correlations",
        ),
        pytest.param(
            lambda: reading.thresholds(pl.DataFrame(THRESHOLDS)),
            "With the policy's threshold, 0, the model makes 1,196 trades and earns -0.0009 [-0.053, +0.052] a session "
            "and the rule score makes 1 trade and earns +0.0100 [no interval] a session. The other thresholds were "
            "chosen after the fact: the best of them is no evidence for it.",
            id="thresholds",
        ),
        pytest.param(
            lambda: reading.sums(
                pl.DataFrame({"session": DAYS, "model": [1.0, -0.5, 2.0, None]}), {"model": "trees"}, where="Held out"
            ),
            "Held out, after 4 sessions, the sums end with trees at +2.50 (0.50); in brackets the maximum drawdown.",
            id="running sums",
        ),
        pytest.param(
            lambda: reading.growths(
                pl.DataFrame({"session": DAYS, "buy_and_hold": [2.0, 4.0, 3.0, 5.0]}), ["buy_and_hold"]
            ),
            "1 became 2.50 in buy and hold (25%); in brackets the maximum drawdown.",
            id="growth",
        ),
        pytest.param(
            lambda: reading.rolling(pl.DataFrame({"m": [None, 0.1, -0.1], "score": [None, 0.0, 0.2]}), "m", "score"),
            "The rolling mean is above 0 in 50% of windows for m and in 50% for the score; m is the higher of the two "
            "in 50%.",
            id="rolling",
        ),
        pytest.param(
            lambda: reading.calibration(pl.DataFrame(BINS)),
            "In 1 of 2 bins the prediction lies within the 95% interval of what was observed. The gap that weighs "
            "most: 50% predicted and 70% observed, of 400.",
            id="calibration",
        ),
        pytest.param(
            lambda: reading.confusion(np.array([[8, 2], [6, 4]]), ["Loss", "Win"], majority=0.5),
            "60% of the predicted classes are right; always predicting the largest class would be right in 50%. Of the "
            "events that became Loss, 80% were predicted so; of Win, 40%.",
            id="confusion",
        ),
        pytest.param(
            lambda: reading.second_tier(
                pl.DataFrame(
                    {"traded": [False, True], "events": [30, 10], "mean_outcome": [-0.05, 0.1], "win_rate": [0.4, 0.6]}
                )
            ),
            "All events above the threshold, whatever a session may trade, earned +0.10 on average (10, 60% above 0), "
            "the others -0.05 (30, 40%).",
            id="second tier",
        ),
        pytest.param(
            lambda: reading.importances(["a", "b", "c", "d"], [0.1, 0.6, 0.3, 0.0], of="feature"),
            "b (60%), c (30%) and a (10%) matter most; 2 of 4 features carry 90% of the importance.",
            id="importances",
        ),
        pytest.param(
            lambda: reading.importances(["a", "b"], [0.25, 0.75], of="parameter"),
            "b (75%) and a (25%) carry the importance.",
            id="importances, all of them named",
        ),
        pytest.param(
            lambda: reading.layers(pl.DataFrame(LAYERS)),
            "The stack has rank IC +0.060. The best of its parts and baselines is trees with +0.050, to which the "
            "stack adds +0.010 [-0.020, +0.040].",
            id="layers",
        ),
        pytest.param(
            lambda: reading.weights(
                pl.DataFrame({"layer": ["a", "b"], "bear: fitted": [0.7, 0.3], "bull: fitted": [0.9, 0.1]})
            ),
            "The meta-learner gives most weight to a (80% on average over the regimes); all have a weight.",
            id="weights",
        ),
        pytest.param(
            lambda: reading.regimes(
                pl.DataFrame({"session": DAYS, "regime": [None, "bear", "bull", "bull"]}), ["bear", "bull"]
            ),
            "Of 3 sessions: bear 33% and bull 67%; bull has stood since 2020-01-08.",
            id="regimes",
        ),
        pytest.param(
            lambda: reading.fear_greed(pl.DataFrame({"session": DAYS, "fear_greed": [None, 0.4, 0.6, 0.7]})),
            "It is above 0.5 in 67% of 3 sessions and ends at 0.70 on 2020-01-09.",
            id="fear and greed",
        ),
        pytest.param(
            lambda: reading.search(TRIALS, "sharpe_ratio"),
            "The best sharpe_ratio is +1.5, found by trial 3 (of 5, counted from 0); the first half had found +1.",
            id="search",
        ),
        pytest.param(
            lambda: reading.search(TRIALS.filter(pl.col("number") != 3), "sortino"),
            "The best sortino is +1, found by trial 1 (of 5, counted from 0); the second half of the search "
            "found nothing better.",
            id="search that ended early",
        ),
        pytest.param(
            lambda: reading.search(TRIALS.with_columns(pl.col("value") / -1000), "calm_gain"),
            "The best calm_gain is -0.0005, found by trial 2 (of 5, counted from 0); the second half of the search "
            "found nothing better.",
            id="search on a small scale",
        ),
        pytest.param(
            lambda: reading.best_quarter(TRIALS, ["stop"]),
            "The best quarter of the feasible trials (1) has stop 2.25 (tried: 2 to 3).",
            id="best quarter",
        ),
    ],
)
def test_a_sentence_says_what_stands_in_the_table(said, expected):
    assert said() == expected


def none(**columns) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(columns, pl.Float64) | columns)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        pytest.param(lambda: reading.kinds(pl.DataFrame(KINDS).clear(), "kind"), "There are no events", id="kinds"),
        pytest.param(lambda: reading.years(none(year=pl.String)), "There are no events", id="years"),
        pytest.param(lambda: reading.outcomes(none(outcome=pl.Float64)), "No event has an outcome yet", id="outcomes"),
        pytest.param(lambda: reading.classes(none(share=pl.Float64)), "No event has an outcome yet", id="classes"),
        pytest.param(lambda: reading.deciles(deciles(), "rule score"), "No event has an outcome yet", id="deciles"),
        pytest.param(
            lambda: reading.rank_ics(pl.DataFrame(IC).with_columns(ic=pl.lit(None, pl.Float64)), label="feature"),
            "five events",
            id="rank ICs",
        ),
        pytest.param(lambda: reading.correlations(["a"], [[1.0]]), "no two columns that vary", id="correlations"),
        pytest.param(
            lambda: reading.sums(none(session=pl.Date, model=pl.Float64), {"model": "m"}, where="Held out"),
            "Held out no session has a result",
            id="running sums",
        ),
        pytest.param(lambda: reading.growths(none(session=pl.Date, a=pl.Float64), ["a"]), "no level", id="growth"),
        pytest.param(
            lambda: reading.rolling(pl.DataFrame({"m": [None], "s": [None]}), "m", "s"), "too few", id="rolling"
        ),
        pytest.param(lambda: reading.calibration(pl.DataFrame(BINS).clear()), "no probabilities", id="calibration"),
        pytest.param(lambda: reading.confusion(np.zeros((2, 2)), "ab", majority=0.0), "No class", id="confusion"),
        pytest.param(lambda: reading.importances(["a"], [np.nan], of="feature"), "No feature has an", id="importances"),
        pytest.param(lambda: reading.layers(pl.DataFrame(LAYERS).clear()), "five events", id="layers"),
        pytest.param(lambda: reading.weights(none(layer=pl.String)), "no stack", id="weights"),
        pytest.param(
            lambda: reading.shares_by_layer(none(feature=pl.String, a=pl.Float64), ["a"]), "No layer", id="shares"
        ),
        pytest.param(lambda: reading.regimes(none(regime=pl.String), ["bear"]), "too little history", id="regimes"),
        pytest.param(lambda: reading.search(TRIALS.tail(1), "sortino"), "No trial was feasible", id="search"),
        pytest.param(
            lambda: reading.search(TRIALS.with_columns(pl.col("value") / -1000), "calm_gain"),
            "The best calm_gain is -0.0005, found by trial 2 (of 5, counted from 0); the second half of the search "
            "found nothing better.",
            id="search on a small scale",
        ),
        pytest.param(
            lambda: reading.best_quarter(TRIALS.tail(1), ["stop"]), "No trial was feasible", id="best quarter"
        ),
    ],
)
def test_a_table_without_data_gives_a_sentence_that_says_why(said, why):
    assert why in said()


def test_the_deciles_that_are_read_are_those_that_are_drawn():
    frame = pl.DataFrame({"score": [float(i) for i in range(100)], "outcome": [i / 100 for i in range(100)]})
    table = summaries.deciles(frame, by="score", means=["outcome"])
    assert reading.deciles(table, "score").startswith(
        "The top decile of the score earned +0.94 on average, the lowest +0.04"
    )


def test_an_interval_that_could_not_be_drawn_is_said_not_shown_as_nan():
    assert reading.interval(float("nan"), float("nan")) == "(too few sessions for an interval)"
