"""What a comparison takes, before it begins: published sizes, and simulations that find what was planned."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from bq.core.errors import BadParameters
from bq.stats import power
from bq.stats.sequential import confidence_sequence

RULE = {"alpha": 0.05, "sharpest_at": 100}


@pytest.mark.parametrize(
    ("share", "arms"),
    [pytest.param(0.5, (328, 328), id="as-many-each"), pytest.param(0.7, (555, 238), id="70-to-30")],
)
def test_trades_that_tell_a_win_rate_of_35_from_one_of_25(share, arms):
    """The reference numbers of the project: 328 an arm, at 70/30 238 + 555."""
    assert power.trades(0.25, 0.35, share=share) == arms


def test_so_many_trades_find_the_difference_as_often_as_planned():
    """2,000 pairs of samples at 70/30, pooled z-test at 5%: 80% are found, but for rounding and simulation."""
    arms, rng = power.trades(0.25, 0.35, share=0.7), np.random.default_rng(1)
    p1, p2 = rng.binomial(arms.better, 0.35, 2000) / arms.better, rng.binomial(arms.base, 0.25, 2000) / arms.base
    pooled = (p1 * arms.better + p2 * arms.base) / sum(arms)
    z = (p1 - p2) / np.sqrt(pooled * (1 - pooled) * (1 / arms.better + 1 / arms.base))
    assert binomtest(int((np.abs(z) > norm.ppf(0.975)).sum()), 2000, 0.8).pvalue > 0.01


@pytest.mark.parametrize("rates", [(0.25, 0.25), (0.0, 0.3), (0.3, 1.0)], ids=["the-same", "never", "always"])
def test_win_rates_that_cannot_be_told_apart_are_refused(rates):
    with pytest.raises(BadParameters, match="two different numbers"):
        power.trades(*rates)


def test_years_that_tell_two_sharpe_ratios_apart():
    """15.7 years unpaired, 1.6 at correlation .9: the reference numbers of the project."""
    assert round(power.years(1.0), 1) == 15.7 and round(power.years(1.0, correlation=0.9), 1) == 1.6
    assert power.years(0.5) == pytest.approx(4 * power.years(1.0)) and power.years(0.0) == np.inf


@pytest.mark.parametrize("effect", [0.15, 0.3, -0.6], ids=str)
def test_the_sequence_finds_an_effect_by_the_planned_observation(effect):
    """1,000 sequences: at the planned observation 80% exclude 0; who looked before had a somewhat higher chance."""
    n = power.observations(effect, **RULE)
    values = np.random.default_rng(3).standard_normal((1000, n)) + effect
    bounds = [confidence_sequence(one, **RULE) for one in values]
    excluded = np.array([(one.low > 0) | (one.high < 0) for one in bounds])
    assert 0.76 < excluded[:, -1].mean() < 0.84
    assert 0.80 < excluded.any(axis=1).mean() < 0.93


def test_no_effect_is_never_found_and_a_huge_one_with_the_first_bound():
    assert power.observations(0.0, **RULE) is None
    assert power.observations(5.0, **RULE) == 20
