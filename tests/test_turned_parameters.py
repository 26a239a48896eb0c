"""What a person turns in a notebook is checked before anything runs, and reaches the parameters."""

import datetime as dt

import pytest

import bq
from bq.core import paths
from bq.core.errors import BadParameters


def test_what_is_turned_stands_in_the_parameters():
    turned = {"symbols": "AAPL, MSFT", "first": "2015-01-02", "last": dt.date(2018, 12, 31), "folds": 3, "top_k": 2}
    settings = bq.params("butterfly", model="elastic_net", trials=9, **turned)
    assert settings.market.symbols == ["AAPL", "MSFT"]
    assert (settings.events.first, settings.market.end) == (dt.date(2015, 1, 2), dt.date(2018, 12, 31))
    assert (settings.learning.folds, settings.policy.k, settings.tuning.trials) == (3, 2, 9)
    assert settings.learning.model == "elastic_net"


def test_what_is_empty_or_0_stays_as_in_the_file():
    nothing = {"symbols": "", "first": "", "last": "", "model": "", "folds": 0, "top_k": 0, "trials": 0}
    assert bq.params("forecast", **nothing) == bq.params("forecast")


def test_where_every_bar_is_decided_on_the_first_bar_is_turned():
    assert bq.params("breakout", first="2010-01-04").market.start == dt.date(2010, 1, 4)


@pytest.mark.parametrize("name", ["NO", "1e3", "BRK B", "[x]", "a: b", "<script>"])
def test_a_symbol_is_a_name_whatever_yaml_would_make_of_it(name):
    assert bq.params("butterfly", symbols=[name]).market.symbols == [name]


@pytest.mark.parametrize(
    ("turned", "said"),
    [
        pytest.param(
            {"first": "31.12.2018"}, "`first` must be a date such as 2019-05-31, but got '31.12.2018'", id="date"
        ),
        pytest.param({"folds": "4"}, "`folds` must be a whole number, .* but got '4'", id="text for a number"),
        pytest.param({"folds": True}, "`folds` must be a whole number, .* but got True", id="truth for a number"),
        pytest.param({"folds": -1}, "`folds` must be a whole number, .* but got -1", id="negative"),
        pytest.param(
            {"folds": 1}, "`learning.folds` must .* greater than or equal to 2, but got 1", id="too few folds"
        ),
        pytest.param({"model": "lightgmb"}, "did you mean .?lightgbm", id="a letter changed"),
        pytest.param({"model": 4}, "`model` must be a name, but got 4", id="number for a name"),
        pytest.param({"symbols": "AAPL,,MSFT"}, "`symbols` must be names with commas", id="an empty name"),
        pytest.param({"symbols": ["AAPL", 4]}, "`symbols` must be names with commas", id="a number among names"),
        pytest.param({"first": "2019-01-01", "last": "2005-01-01"}, "start < end", id="end before start"),
        pytest.param({"folds": 4, "overrides": "learning.folds=5"}, "learning.folds must be set once", id="set twice"),
    ],
)
def test_a_fault_is_one_sentence_with_what_came(turned, said):
    with pytest.raises(BadParameters, match=said):
        bq.params("butterfly", **turned)


def test_a_strategy_that_does_not_choose_so_many_refuses_top_k():
    with pytest.raises(BadParameters, match="`top_k` must be 0 for forecast, but got 3"):
        bq.params("forecast", top_k=3)


def test_of_a_run_its_own_parameters_hold_and_no_other(tmp_path):
    path = str(paths.parameters("breakout"))
    assert (
        bq.params("breakout", path, trials=20, run_dir=str(tmp_path)).tuning.trials
        == bq.params("breakout").tuning.trials
    )


def test_tune_is_refused_for_a_strategy_without_a_backtested_portfolio():
    with pytest.raises(
        BadParameters, match=r"must have settings of a strategy with a backtester, .* `make tune STRATEGY=forecast`"
    ):
        bq.tune(bq.params("forecast"))
