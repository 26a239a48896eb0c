"""A search by hand with an objective and ranges of the user's own: what it maximises, counts and refuses."""

import re

import numpy as np
import polars as pl
import pytest
from breakout_market import data, settings
from optuna.distributions import FloatDistribution

import bq
from bq import market
from bq.core import paths
from bq.core.errors import BadParameters
from bq.jobs.tuned import first_screen
from bq.runs.verdict import Verdict
from bq.serving import ledger
from bq.strategies.backtester import Span
from bq.strategies.breakout import STRATEGY
from bq.strategies.breakout.backtest import backtest
from bq.strategies.breakout.prepare import prepare
from bq.tuning import own, strategy
from bq.tuning.parameters import applied
from bq.tuning.windows import divide

FEW = "tuning.trials=3"
SEARCH = {
    "risk.max_positions": range(4, 13),
    "exit.exit_ma": [20, 50],
    "entry.fast_clearance": FloatDistribution(0, 0.02),
}


def worst_day(days: pl.DataFrame) -> float:
    return days["value"].min()


def tuned(objective=worst_day, search=None) -> dict:
    given = settings(more=FEW)
    return strategy.tune(STRATEGY, given, data(given), keep=False, objective=objective, search=search).results


def test_a_trial_is_worth_the_mean_of_the_own_objective_over_the_folds():
    given = settings(more=FEW)
    market = prepare(data(given), given.universe)
    spans = divide(market.sessions, given.tuning).folds
    found = tuned()
    for row in found["trials"]:
        rules = applied(given, row["values"])
        levels = [backtest(market, rules, start=s, end=e).days["equity"].to_numpy() for s, e in spans]
        expected = [min(0.0, (level[1:] / level[:-1] - 1).min()) for level in levels]
        assert row["folds"] == pytest.approx(expected)
    best = max(found["trials"], key=lambda row: row["value"])
    assert found["winner"]["number"] == best["number"]
    assert found["objective"] == "worst_day" == found["verdict"]["table"]["columns"][0]


def test_a_result_on_a_small_scale_keeps_three_digits_wherever_it_stands():
    def small(days):
        return days["value"].mean() / 100

    given = settings(more=FEW)
    found = strategy.tune(STRATEGY, given, data(given), keep=False, objective=small)
    best = found.results["figures"][1]["winner"]["value"]
    three = f"{float(f'{best:.2e}'):+.9f}".rstrip("0")
    screen = first_screen(Verdict.of(found.results["verdict"], what="a tuning"), found, "return")
    assert 0 < abs(best) < 1e-3
    assert found.results["verdict"]["table"]["rows"][1][1].startswith(f"{three} (")
    assert f"after {three} on validation" in found.results["verdict"]["reasons"][0]
    assert three in [figure.value for figure in screen.shown]
    assert f"The best small is {three}, found by trial" in bq.tell.history(found).sentence


def test_the_own_search_tries_what_it_names_and_nothing_else():
    found = tuned(search=SEARCH)
    for row in found["trials"]:
        assert set(row["values"]) == set(SEARCH)
        assert row["values"]["risk.max_positions"] in range(4, 13)
        assert row["values"]["exit.exit_ma"] in (20, 50)
        assert 0 <= row["values"]["entry.fast_clearance"] <= 0.02


def examples() -> list[tuple[str, object]]:
    """Parameters that the documentation, the notebook and `bq.tune` show as an own search, with what is tried."""
    texts = [(paths.CHECKOUT / "docs" / "tuning.md").read_text(), str(bq.tune.__doc__)]
    texts += (paths.notebooks() / "06_strategy_tuning.ipynb").read_text().replace('\\"', '"').splitlines()
    shown = [eval(found, {"range": range}) for text in texts for found in re.findall(r'\{"\w+\.\w+": [^}]+\}', text)]
    assert len(shown) == 3
    return [(name, tuple(tried)) for one in shown for name, tried in one.items()]


@pytest.mark.parametrize(("name", "tried"), sorted(set(examples())), ids=str)
def test_what_an_example_searches_changes_the_result(name, tried, bundled):
    """On the bundled stocks, which a reader has: of five symbols no more than five are ever held."""
    given, scorer = bundled
    span = Span(scorer.sessions[0], scorer.sessions[-1])
    found = {scorer.score(applied(given, {name: value}), [span]).folds[0] for value in (tried[0], tried[-1])}
    assert len(found) == 2


@pytest.fixture(scope="module")
def bundled():
    given = bq.params("breakout")
    return given, STRATEGY.backtester.scorer(market.load(given.market), given)


def test_every_trial_of_every_objective_counts_even_under_the_same_name():
    def made(power):
        def mine(days):
            return days["value"].mean() * power

        return mine

    counts = []
    for objective in (made(1.0), made(1.0), made(2.0)):
        found = tuned(objective)
        feasible = sum(row["state"] == "feasible" for row in found["trials"])
        counts.append(ledger.count())
    assert counts[0] == counts[1] == feasible + 1, "the same search again is no further look"
    assert counts[2] == 2 * counts[0]


def test_a_span_without_a_value_makes_its_trial_infeasible():
    given = settings(more=FEW)
    scorer = own.judged_by(lambda days: np.nan, STRATEGY.backtester.scorer(data(given), given))
    made = scorer.score(given, divide(scorer.sessions, given.tuning).folds)
    assert np.isnan(made.folds).all() and np.isnan(made.hold)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"risk.max_position": range(4)}, "'risk.max_position' is not a parameter; did you mean `risk.max_positions`?"),
        ({"risk.max_positions": 4}, "must have a range .* but got 4 \\(whole number\\)"),
        ({"risk.max_positions": range(4, 4)}, "must have a range"),
        ({}, "must name a parameter or more"),
    ],
    ids=["unknown", "a number", "empty range", "empty"],
)
def test_a_search_that_says_nothing_is_refused(search, said):
    with pytest.raises(BadParameters, match=said):
        tuned(search=search)


def test_an_objective_that_gives_no_number_is_refused_by_its_name():
    def frame(days):
        return days

    with pytest.raises(BadParameters, match=r"`objective` must return a number, .* but frame returned"):
        tuned(frame)


def test_an_objective_that_forgets_to_return_is_asked_whether_it_does():
    def calm_gain(days):
        days["value"].mean()

    with pytest.raises(BadParameters, match=r"but calm_gain returned None: does it end in `return`\?$"):
        tuned(calm_gain)


def test_an_objective_that_asks_for_another_column_is_told_which_there_are():
    def calm_gain(days):
        return days["returns"].mean()

    said = r"columns that it is given \(session, value, buy_and_hold\), but in calm_gain: .*\"returns\" not found\.$"
    with pytest.raises(BadParameters, match=said):
        tuned(calm_gain)


def test_the_verb_takes_both_and_gives_the_study_for_optunas_plots():
    given = settings(more=FEW)
    found = bq.tune(given, objective=worst_day, search={"exit.exit_ma": [20, 50]})
    assert found.results["objective"] == "worst_day" and len(found.study.trials) == 3
    assert bq.tell.history(found).shown.layout.yaxis.title.text == "worst_day"


def test_the_verdict_is_told_with_its_figures_and_a_winner_that_changes_nothing_as_such():
    given = settings(more=FEW)
    found = bq.tune(given, objective=worst_day, search={"exit.exit_ma": [20, 50]})
    said = bq.tell.proof(found).sentences
    for begins in (
        "Deflated Sharpe ratio: probability ",
        "Probability of overfitting: in ",
        "Needed for deflated Sharpe",
    ):
        assert [sentence for sentence in said if sentence.startswith(begins)], said
    assert found.results["winner"]["values"] == {"exit.exit_ma": given.exit.exit_ma}
    assert bq.tell.values(found, given).sentence == (
        "The winner has the values that were given: there is nothing to change."
    )
    other = given.model_copy(update={"exit": given.exit.model_copy(update={"exit_ma": 50})})
    assert bq.tell.values(found, other).sentence == "The winner changes 1 of 1 parameter."
