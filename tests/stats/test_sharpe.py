"""Sharpe ratios against the figures of the papers they come from."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, kurtosis, norm, skew

from bq.core.errors import BadData, BadParameters
from bq.stats.sharpe import (
    Track,
    Trials,
    deflated,
    expected_maximum,
    minimum_track_record,
    probabilistic,
    ratio,
    track,
    varies,
)
from bq.stats.sharpe_difference import sharpe_difference


def stated(*, sharpe, periods_per_year, n, skew=0.0, kurtosis=3.0):
    """A track by published numbers, `sharpe` annualised to `periods_per_year`."""
    return Track(sharpe / math.sqrt(periods_per_year), n, skew, kurtosis, autocorrelation=0.0)


# the hedge fund index of Bailey & López de Prado 2012 and of López de Prado, Lipton & Zoonekynd 2025
FUND = stated(sharpe=0.036 / 0.079, periods_per_year=1, n=24, skew=-2.448, kurtosis=10.164)
# the worked example of Bailey & López de Prado 2014
BEST = {"sharpe": 2.5, "periods_per_year": 250, "n": 1250}
SKEWED = {"skew": -3.0, "kurtosis": 10.0}
SPREAD = math.sqrt(0.5 / 250)


def test_probabilistic_ratio_matches_the_paper_of_2012():
    skewed = stated(sharpe=1.585, periods_per_year=12, n=24, skew=-2.448, kurtosis=10.164)
    normal = stated(sharpe=1.585, periods_per_year=12, n=24)
    assert probabilistic(skewed).published == pytest.approx(0.91323430688, abs=1e-10)
    assert probabilistic(normal).published == pytest.approx(0.98159123608, abs=1e-10)


@pytest.mark.parametrize(
    ("shape", "trials", "expected"),
    [
        pytest.param(SKEWED, 100, 0.90039683445, id="skewed-100"),
        pytest.param(SKEWED, 46, 0.95050170688, id="skewed-46"),
        pytest.param({}, 88, 0.95049081668, id="normal-88"),
        pytest.param({}, 100, 0.94277058596, id="normal-100"),
    ],
)
def test_deflated_ratio_matches_the_paper_of_2014(shape, trials, expected):
    found = deflated(stated(**BEST, **shape), trials=Trials(trials, SPREAD))
    assert found.published == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(5, 1.192594), (10, 1.574598), (45, 2.23564), (50, 2.276303), (100, 2.530603), (1000, 3.255122)],
    ids=str,
)
def test_expected_maximum_matches_published_values_and_lies_near_the_simulated_one(number, expected):
    assert expected_maximum(Trials(number, 1.0)) == pytest.approx(expected, abs=1e-6)
    drawn = np.random.default_rng(0).standard_normal((4000, number)).max(axis=1)
    assert expected == pytest.approx(drawn.mean(), rel=0.05)


def test_one_trial_is_not_deflated():
    assert expected_maximum(Trials(1, 0.3)) == 0.0
    assert deflated(FUND, trials=Trials(1, 0.3)).published == probabilistic(FUND).published


@pytest.mark.parametrize("floor", [0.0, 0.1, 0.9], ids=str)
def test_the_floor_counts_where_the_best_of_the_trials_lies_below_it(floor):
    """At .1 of 88 trials the benchmark stays as published; alone it is the floor of the ratio without trials."""
    stay = deflated(stated(**BEST), trials=Trials(88, SPREAD), floor=min(floor, 0.1))
    assert stay.published == pytest.approx(0.95049081668, abs=1e-10)
    assert deflated(FUND, trials=Trials(1, 0.0), floor=floor) == probabilistic(FUND, benchmark=floor)


@pytest.mark.parametrize(
    ("autocorrelation", "benchmark", "expected"),
    [(0.0, 0.0, 0.987), (0.0, 0.1, 0.939), (0.2, 0.0, 0.966), (0.2, 0.1, 0.900)],
    ids=str,
)
def test_revised_probabilistic_ratio_matches_the_paper_of_2025(autocorrelation, benchmark, expected):
    found = probabilistic(FUND._replace(autocorrelation=autocorrelation), benchmark=benchmark)
    assert found.revised == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(("autocorrelation", "expected"), [(0.0, 0.416), (0.2, 0.427)], ids=str)
def test_revised_deflated_ratio_matches_the_paper_of_2025(autocorrelation, expected):
    found = deflated(FUND._replace(autocorrelation=autocorrelation), trials=Trials(10, math.sqrt(0.1)))
    assert found.revised == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("numbers", "benchmark", "years"),
    [
        pytest.param({"sharpe": 2, "periods_per_year": 250}, 1, 2.7311878018, id="daily"),
        pytest.param({"sharpe": 2, "periods_per_year": 52}, 1, 2.8288335869, id="weekly"),
        pytest.param(
            {"sharpe": 3, "periods_per_year": 12, "skew": -0.72, "kurtosis": 5.78}, 2.5, 27.352920196, id="monthly"
        ),
    ],
)
def test_minimum_track_record_matches_the_paper_of_2012(numbers, benchmark, years):
    periods = numbers["periods_per_year"]
    found = minimum_track_record(stated(**numbers, n=100), benchmark=benchmark / math.sqrt(periods))
    assert found.published / periods == pytest.approx(years, rel=1e-9)


@pytest.mark.parametrize(("benchmark", "periods"), [(0.0, 13.029), (0.1, 27.109)], ids=str)
def test_revised_minimum_track_record_matches_the_paper_of_2025(benchmark, periods):
    assert minimum_track_record(FUND, benchmark=benchmark).revised == pytest.approx(periods, abs=5e-4)


def test_no_track_record_is_long_enough_for_a_ratio_below_the_benchmark():
    assert minimum_track_record(FUND, benchmark=0.6) == (math.inf, math.inf)


def test_a_track_has_the_moments_of_scipy():
    returns = np.random.default_rng(1).standard_t(5, 500) + 0.1
    found = track(returns)
    assert found.sharpe_per_period == pytest.approx(returns.mean() / returns.std(ddof=1))
    assert (found.skew, found.kurtosis) == pytest.approx((skew(returns), kurtosis(returns, fisher=False)))
    assert found.n == 500
    assert track(100.0 * returns) == pytest.approx(found)


def test_the_revised_probability_of_autocorrelated_returns_without_skill_is_uniform_and_the_published_is_not():
    """1,000 AR(.3) series of 500: PSR > .95 in 5% by the revision; by the old formula in 11% (the error is 1.36 ×)."""
    noise = np.random.default_rng(2).standard_normal((1000, 600))
    for day in range(1, 600):
        noise[:, day] += 0.3 * noise[:, day - 1]
    found = [probabilistic(track(row)) for row in noise[:, 100:]]
    low, high = binom.interval(0.999, 1000, 0.05)
    assert low <= sum(each.revised > 0.95 for each in found) <= high
    assert sum(each.published > 0.95 for each in found) > high
    assert norm.sf(norm.ppf(0.95) / 1.363) == pytest.approx(0.114, abs=1e-3)


def test_an_annual_benchmark_is_refused_and_no_record_is_long_enough_for_it():
    with pytest.raises(BadParameters, match="benchmark must be a Sharpe ratio per period"):
        probabilistic(FUND, benchmark=1.0)
    assert minimum_track_record(FUND, benchmark=1.0) == (math.inf, math.inf)


@pytest.mark.parametrize(
    "returns",
    [
        pytest.param(2.5, id="a-ratio-instead"),
        pytest.param([0.1, np.nan, 0.2], id="gaps"),
        pytest.param([0.1], id="one"),
        pytest.param([0.1] * 20, id="constant"),
        pytest.param([0.0] * 20, id="never-traded"),
    ],
)
def test_what_has_no_sharpe_ratio_is_refused(returns):
    with pytest.raises(BadData, match=r"returns must"):
        track(returns)


@pytest.mark.parametrize(
    ("name", "difference", "error", "p"),
    # Ledoit & Wolf 2008, section 5, by the authors' own programs: mutual funds, then hedge funds
    [("agg", 0.097112, 0.053378, 0.0906), ("hedge", -0.44819, 0.387269, 0.2974)],
    ids=["mutual-funds", "hedge-funds"],
)
def test_the_difference_of_two_ratios_matches_the_paper(name, difference, error, p):
    if "BQ_TEST_DATA" not in os.environ:
        pytest.skip("the returns of the paper are not bundled; BQ_TEST_DATA names the folder beside theirs")
    path = Path(os.environ["BQ_TEST_DATA"]).parent / "reference" / f"ret_{name}.csv"
    if not path.is_file():
        pytest.skip(f"needs {path.name} in the folder `reference` beside BQ_TEST_DATA")
    returns = np.loadtxt(path, delimiter=",", skiprows=1, usecols=(1, 2))
    found = sharpe_difference(returns[:, 0], returns[:, 1], block=5, alpha=0.05, draws=4999, seed=3)
    assert found.difference == pytest.approx(difference, abs=1e-6)
    assert found.standard_error == pytest.approx(error, abs=1e-6)
    assert found.p == pytest.approx(p, abs=3 * math.sqrt(2 * p * (1 - p) / 4999))
    assert found.low < 0 < found.high


def pairs(n: int, *, seed: int) -> np.ndarray:
    """Two series of equal ratio 0.1 that correlate at .8."""
    random = np.random.default_rng(seed)
    common = random.standard_normal(n)
    return 0.1 + math.sqrt(0.8) * common + math.sqrt(0.2) * random.standard_normal((2, n))


def test_the_error_of_a_difference_is_the_closed_form_for_independent_normal_returns():
    first, second = pairs(20_000, seed=4)
    found = sharpe_difference(first, second, block=10, alpha=0.05, draws=500, seed=1)
    # Jobson & Korkie 1981 as corrected by Memmel 2003, for equal ratios s and correlation r
    s, r = 0.1, 0.8
    variance = 2 - 2 * r + 0.5 * (2 * s**2 - 2 * s**2 * r**2)
    assert found.standard_error == pytest.approx(math.sqrt(variance / 20_000), rel=0.05)
    assert found.high - found.difference == pytest.approx(1.96 * found.standard_error, rel=0.15)
    moved = first + 1.5 * found.standard_error - found.difference
    nearly = sharpe_difference(moved, second, block=10, alpha=0.05, draws=2000, seed=1)
    assert nearly.difference == pytest.approx(1.5 * nearly.standard_error, rel=0.1)
    assert nearly.p == pytest.approx(2 * norm.sf(nearly.difference / nearly.standard_error), abs=0.03)


def test_exchanging_the_series_changes_the_sign_only():
    first, second = pairs(240, seed=5)
    one, other = (
        sharpe_difference(*pair, block=5, alpha=0.05, draws=999, seed=6) for pair in ((first, second), (second, first))
    )
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
    assert one.p == pytest.approx(other.p)


def test_equal_ratios_are_told_apart_as_rarely_as_asked_for():
    """200 pairs of 200 returns with equal ratios: rejections at 5% stay in the 99.9% band of the binomial."""
    found = [sharpe_difference(*pairs(200, seed=s), block=4, alpha=0.05, draws=399, seed=s).p for s in range(200)]
    low, high = binom.interval(0.999, 200, 0.05)
    assert low <= sum(p <= 0.05 for p in found) <= high


def test_a_planted_difference_is_found():
    first, second = pairs(500, seed=7)
    found = sharpe_difference(first + 0.3, second, block=5, alpha=0.05, draws=999, seed=1)
    assert found.low > 0
    assert found.p < 0.01
    assert (found.n, found.blocks) == (500, 100)


@pytest.mark.parametrize(
    ("first", "second", "block"),
    [pytest.param(30, 29, 5, id="unpaired"), pytest.param(30, 30, 16, id="less-than-two-blocks")],
)
def test_series_that_cannot_be_compared_are_refused(first, second, block):
    random = np.random.default_rng(8)
    with pytest.raises(BadData, match="both series must cover the same periods"):
        sharpe_difference(
            random.standard_normal(first), random.standard_normal(second), block=block, alpha=0.05, draws=99, seed=1
        )


BILL = 100.0 * 1.00016 ** np.arange(1000)  # a treasury bill's curve: 4.1% a year, every day


@pytest.mark.parametrize(
    "returns",
    [
        pytest.param(BILL[1:] / BILL[:-1] - 1.0, id="treasury-bill"),
        pytest.param(
            (1e6 * 1.0000001 ** np.arange(500.0))[1:] / (1e6 * 1.0000001 ** np.arange(499.0)) - 1.0, id="tiny"
        ),
        pytest.param(np.full(300, -0.1) * (1.0 + 1e-15 * np.arange(300)), id="constant-loss"),
        pytest.param(np.random.default_rng(0).standard_normal(400) * 1e-17, id="difference-of-equal-curves"),
        pytest.param(np.zeros(50), id="nothing"),
        pytest.param(np.array([0.01]), id="one"),
    ],
)
def test_returns_that_vary_by_rounding_alone_have_no_ratio(returns):
    assert math.isnan(ratio(returns))
    assert not varies(returns)
    with pytest.raises(BadData):
        track(returns)


@pytest.mark.parametrize("size", [1e-6, 1e-2, 1e3], ids="{:g}".format)
def test_the_ratio_is_that_of_numpy_whatever_the_unit(size):
    returns = size * (0.05 + np.random.default_rng(3).standard_normal(250))
    assert ratio(returns) == pytest.approx(np.mean(returns) / np.std(returns, ddof=1), rel=1e-12)


def test_a_little_variation_is_a_ratio():
    """A bill whose yield changes by a basis point a year now and then: large, and true."""
    returns = np.where(np.arange(500) % 50 < 25, 1.6e-4, 1.6e-4 + 1e-4 / 252)
    assert ratio(returns) == pytest.approx(returns.mean() / returns.std(ddof=1), rel=1e-12)
