"""Where a result stands among those on the same bars in other orders of their days."""

import dataclasses

import planted_leaks
import polars as pl
import pytest
from reversal_strategy import TABLE, TASK, ReversalSettings

from bq.audit import standing
from bq.audit.standing import Standing
from bq.core.errors import BadParameters
from bq.core.settings import Gate, Learning, Market
from bq.learning import metrics, walkforward
from bq.strategies import store
from bq.strategies.contract import Strategy

STRATEGY = Strategy("reversal", ReversalSettings, TABLE, lambda settings: TASK)
SETTINGS = ReversalSettings(
    market=Market(),
    learning=Learning(features="reversal_v1", model="elastic_net", folds=2, test_days=200, newest_days=90),
    gate=Gate(draws=1000),
)


@pytest.fixture(scope="module")
def data():
    """Without splits: the smallest strategy takes closes as they are quoted."""
    made = planted_leaks.market_of(1)
    prices = (pl.col(name) * pl.col("adj") for name in ("open", "high", "low", "close"))
    bars = made.bars.with_columns(*prices, pl.col("volume") / pl.col("adj"), adj=pl.lit(1.0))
    return dataclasses.replace(made, bars=bars)


@pytest.mark.parametrize(
    ("real", "permuted", "probability"),
    [
        pytest.param(1.0, [0.0] * 99, 0.01, id="above all of 99"),
        pytest.param(1.0, [], 1.0, id="none permuted"),
        pytest.param(0.5, [0.4, 0.5, 0.6], 0.75, id="equal ones count"),
        pytest.param(-1.0, [0.0] * 9, 1.0, id="below all"),
    ],
)
def test_p_counts_the_real_one_among_all(real, permuted, probability):
    assert Standing(real, permuted).probability == pytest.approx(probability)


def test_the_first_result_is_that_of_the_bars_as_they_are(data):
    events = store.collect(STRATEGY, SETTINGS, data).events
    pairs = metrics.versus(walkforward.train(events, STRATEGY, SETTINGS).oos, STRATEGY, SETTINGS)
    found = standing.result(0, data, STRATEGY, SETTINGS)
    assert (found.uplift, found.net) == (pytest.approx(pairs["uplift"].mean()), pytest.approx(pairs["model"].mean()))
    assert (found.sessions, found.symbols) == (len(pairs), planted_leaks.NAMES)


def test_each_order_goes_through_training_and_results_are_kept_as_they_come(data):
    kept = {}

    def keep(one):
        kept[one.order] = one

    asked = {"count": 2, "keep": keep}
    found = standing.results(data, STRATEGY, SETTINGS, known={}, **asked)
    assert [one.order for one in found] == [0, 1, 2] == list(kept)
    assert len({one.uplift for one in found}) == 3
    again = standing.results(data, STRATEGY, SETTINGS, known={0: found[0], 1: found[1]}, **asked)
    assert again == found


def test_quotes_are_refused_and_so_is_a_table_without_bars(data):
    with pytest.raises(BadParameters, match="must have bars"):
        standing.result(1, dataclasses.replace(data, bars=data.bars.clear()), STRATEGY, SETTINGS)
    with pytest.raises(BadParameters, match=r"market\.chains"):
        standing.result(1, dataclasses.replace(data, quotes=pl.DataFrame({"underlying": ["N00"]})), STRATEGY, SETTINGS)
