"""A strategy goes to worker processes: what pickle finds there by name must be what was sent."""

import pickle

import pytest

from bq import strategies


@pytest.mark.parametrize("name", sorted(strategies.MODULES))
def test_a_strategy_comes_back_from_pickle_as_it_was_after_all_of_its_modules_are_loaded(name):
    import bq.strategies.breakout.build
    import bq.strategies.butterfly.build
    import bq.strategies.forecast.build

    assert bq.strategies.breakout and bq.strategies.butterfly and bq.strategies.forecast
    sent = strategies.get(name).table.build
    assert pickle.loads(pickle.dumps(sent)) is sent
