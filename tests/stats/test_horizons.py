"""Rank ICs by horizon against scipy's Spearman correlation of returns made by hand."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from bq.stats import horizons

NAMES, DAYS = 8, 30
RNG = np.random.default_rng(11)
CLOSE = 100 * np.exp(np.cumsum(RNG.normal(0, 0.02, (DAYS, NAMES)), axis=0))
SAID = RNG.normal(size=(DAYS, NAMES))


def long(values: np.ndarray, name: str) -> pl.DataFrame:
    days = [dt.date(2021, 1, 1) + dt.timedelta(days=place) for place in range(DAYS)]
    rows = [(days[t], f"S{i}", values[t, i]) for t in range(DAYS) for i in range(NAMES)]
    return pl.DataFrame(rows, schema=["session", "symbol", name], orient="row")


@pytest.mark.parametrize("horizon", [1, 5, 21])
def test_the_mean_is_that_of_spearman_correlations_with_the_return_over_the_horizon(horizon):
    returns = CLOSE[horizon:] / CLOSE[:-horizon] - 1
    expected = [spearmanr(SAID[t], returns[t]).statistic for t in range(DAYS - horizon)]
    found = horizons.by_horizon(long(SAID, "said"), long(CLOSE, "close"), by="said", horizons=[horizon])
    assert found["mean rank IC"].item() == pytest.approx(np.mean(expected))
    assert found["sessions"].item() == DAYS - horizon
    assert found["above 0"].item() == pytest.approx(np.mean(np.array(expected) > 0))


def test_who_knows_the_next_return_ranks_it_and_no_later_one_as_well():
    known = np.vstack([CLOSE[1:] / CLOSE[:-1] - 1, np.zeros((1, NAMES))])
    found = horizons.by_horizon(long(known, "said"), long(CLOSE, "close"), by="said")
    first, *later = found["mean rank IC"]
    assert first == pytest.approx(1.0) and all(one < 0.9 for one in later)


def test_a_horizon_beyond_the_bars_is_left_out():
    found = horizons.by_horizon(long(SAID, "said"), long(CLOSE, "close"), by="said", horizons=[1, DAYS])
    assert found["sessions ahead"].to_list() == [1]


def test_an_outcome_that_is_there_is_not_taken_for_the_return():
    with_outcome = long(SAID, "said").with_columns(outcome=pl.col("said"))
    found = horizons.by_horizon(with_outcome, long(CLOSE, "close"), by="said", horizons=[1])
    assert found["mean rank IC"].item() < 0.9
