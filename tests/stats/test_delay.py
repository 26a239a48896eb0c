"""How long it takes to tell a change from chance."""

import numpy as np
import pytest
from scipy.stats import norm

from bq.stats.delay import block_means, months_to_verdict


def test_months_are_those_of_the_sample_size_of_a_z_test():
    values = np.random.default_rng(3).normal(0.1, 2.0, 400)
    means = values.reshape(20, 20).mean(axis=1)
    blocks = ((norm.ppf(0.975) + norm.ppf(0.8)) * means.std(ddof=1) / 0.5) ** 2
    found = months_to_verdict(values, block=20.0, difference=-0.5, alpha=0.025, days_a_row=1.4)
    assert found == pytest.approx(blocks * 20 * 1.4 / 30.44)


def test_after_that_time_four_of_five_such_changes_are_found():
    rng = np.random.default_rng(11)
    sample = rng.standard_normal(100_000)
    months = months_to_verdict(sample, block=1.0, difference=0.4, alpha=0.025, days_a_row=30.44)
    rows = round(months)
    tests = rng.normal(0.4, 1.0, (4000, rows)).mean(axis=1) * np.sqrt(rows)
    # 4000 independent streams; their share has a standard error of .0063, and rows are whole numbers
    assert (tests > norm.ppf(0.975)).mean() == pytest.approx(0.8, abs=0.025)


@pytest.mark.parametrize(
    ("values", "difference"),
    [
        pytest.param(np.arange(19.0), 0.5, id="four blocks"),
        pytest.param(np.arange(40.0), 0.0, id="no difference"),
        pytest.param(np.full(40, np.nan), 0.5, id="no value"),
    ],
)
def test_without_blocks_or_without_a_difference_no_time_is_named(values, difference):
    assert months_to_verdict(values, block=4.0, difference=difference, alpha=0.025, days_a_row=1.0) is None


def test_a_block_has_the_mean_of_what_is_known_and_the_last_short_one_is_left_out():
    values = [1.0, np.nan, 3.0, np.nan, np.nan, np.nan, 5.0, 5.0, 5.0, 9.0]
    assert block_means(values, block=2.5).tolist() == [2.0, 5.0]
