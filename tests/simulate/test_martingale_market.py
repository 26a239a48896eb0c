"""Markets in which nothing predicts: their prices, their option prices, and the bars between."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from bq import market
from bq.core.settings import Market
from bq.market.calendars import sessions
from bq.simulate.martingale import DAYTIME_DAYS, LEAST, MOST, OF_THE_ROOT, clustered_market, martingale_market

DAYS = np.tile([3.0, 1.0, 1.0, 1.0, 1.0], 500)  # weeks of five sessions
KINDS = {"constant": martingale_market, "clustered": clustered_market}


@pytest.fixture(scope="module", params=KINDS, ids=str)
def made(request):
    return KINDS[request.param](days=DAYS, symbols=60, drift=0.0, seed=1)


@pytest.fixture(scope="module")
def constant():
    return martingale_market(days=DAYS, symbols=60, drift=0.0, seed=1)


@pytest.fixture(scope="module")
def clustered():
    return clustered_market(days=DAYS, symbols=60, drift=0.0, seed=1)


def moves(values):
    return np.diff(np.log(values), axis=0)


@pytest.fixture(scope="module", params=KINDS, ids=str)
def many(request):
    """Thirty independent markets."""
    return [KINDS[request.param](days=DAYS[:1000], symbols=30, drift=0.0, seed=seed) for seed in range(30)]


def fair(gains):
    """Whether a figure of each market has mean 0: 3 standard errors between markets."""
    return abs(np.mean(gains)) < 3 * np.std(gains, ddof=1) / np.sqrt(len(gains))


def test_no_price_has_an_expected_gain(many):
    assert fair([np.nanmean(np.expm1(moves(made.close))) for made in many])


def test_a_day_has_no_expected_gain_between_open_and_close_either(many):
    assert fair([np.nanmean(made.close / made.open - 1.0) for made in many])


def test_a_stop_inside_the_day_has_no_expected_gain(many):
    """Sold at 99% of the open where the low says so, else at the close: fair, as the path is one between the two."""
    stopped = [made.low <= 0.99 * made.open for made in many]
    assert 0.1 < np.mean(stopped) < 0.6
    assert fair(
        [np.nanmean(np.where(at, 0.99, made.close / made.open) - 1.0) for at, made in zip(stopped, many, strict=True)]
    )


@pytest.mark.parametrize("lag", [1, 5, 20], ids="lag-{}".format)
def test_the_past_says_nothing_about_the_direction(many, lag):
    """Products of gains over implied volatility, the mean of all names: without expectation whatever the variance."""
    units = [np.nanmean(np.expm1(moves(made.close)) / made.iv[:-1], axis=1) for made in many]
    assert fair([(one[lag:] * one[:-lag]).mean() for one in units])


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_price_rises_by_the_drift(kind):
    rates = []
    for seed in range(30):
        made = KINDS[kind](days=DAYS, symbols=40, drift=0.5, seed=seed)
        rates.append(np.nanmean(np.expm1(moves(made.close)) / (DAYS[1:, None] / 365.0)))
    assert np.mean(rates) == pytest.approx(0.5, abs=3 * np.std(rates, ddof=1) / np.sqrt(30) + 0.002)


def test_variance_is_that_of_the_calendar(constant):
    """A weekend holds three days of it; three quarters of a day lie between open and close."""
    units = moves(constant.close) / constant.iv[1:] * np.sqrt(365.0)
    monday = DAYS[1:] == 3.0
    assert (units[monday] ** 2).mean() == pytest.approx(3.0, rel=0.03)
    assert (units[~monday] ** 2).mean() == pytest.approx(1.0, rel=0.03)
    inside = np.log(constant.close / constant.open)[1:] / constant.iv[1:] * np.sqrt(365.0)
    assert (inside**2).mean() == pytest.approx(DAYTIME_DAYS, rel=0.03)


def test_each_name_has_one_volatility_and_its_options_know_it(constant):
    assert (constant.iv == constant.iv[0]).all()
    assert constant.iv[0, 1:].min() >= LEAST and constant.iv[0, 1:].max() <= MOST
    units = moves(constant.close) / constant.iv[1:] / np.sqrt(DAYS[1:, None] / 365.0)
    np.testing.assert_allclose(units.std(axis=0), 1.0, atol=4 / np.sqrt(2 * len(units)))


def test_implied_volatility_expects_what_comes():
    """Mean variance of the next 21 sessions, over implied variance: the same in each fifth of implied volatility.

    1 / .983²: what is expected is the root of that variance, which is smaller than the root of what is expected.
    """
    ratios = []
    for seed in range(40):
        made = clustered_market(days=DAYS, symbols=30, drift=0.0, seed=100 + seed)
        squares = np.vstack([np.full((1, 31), np.nan), moves(made.close) ** 2]) / (DAYS[:, None] / 365.0)
        ahead = np.lib.stride_tricks.sliding_window_view(squares[1:], 21, axis=0).mean(axis=-1)[::21]
        iv = made.iv[:-21][::21]
        fifth = np.nanquantile(iv, [0.2, 0.4, 0.6, 0.8], axis=0)
        place = (iv[:, :, None] > fifth.T[None]).sum(axis=-1)
        ratio = ahead / iv**2
        ratios.append([np.nanmean(ratio[place == number]) for number in range(5)])
    mean, error = np.mean(ratios, axis=0), np.std(ratios, axis=0, ddof=1) / np.sqrt(40)
    assert (np.abs(mean - 1.0 / 0.983**2) < 3 * error).all() and (error < 0.05).all()


def test_the_root_of_the_variance_to_come_is_less_than_the_root_of_its_mean_by_what_is_taken_off():
    """The law simulated once more: 21 sessions from three levels of volatility."""
    rng = np.random.default_rng(1)
    for start in (-0.3, 0.0, 0.3):
        level, variance = np.full(100_000, start), 0.0
        for _ in range(21):
            variance = variance + np.exp(2 * level) * 3.0 / rng.chisquare(5.0, level.size) / 21
            level = 0.98 * level + 0.30 * np.sqrt(1 - 0.98**2) * rng.standard_normal(level.size)
        assert np.sqrt(variance).mean() / np.sqrt(variance.mean()) == pytest.approx(OF_THE_ROOT, abs=0.003)


def test_volatility_clusters_and_tails_are_fat(clustered, constant):
    def of(made):
        units = moves(made.close) / np.sqrt(DAYS[1:, None])
        units = (units - np.nanmean(units, axis=0)) / np.nanstd(units, axis=0)
        size = np.abs(units)
        pairs = np.isfinite(size[5:]) & np.isfinite(size[:-5])
        return np.nanmean(units**4), np.corrcoef(size[5:][pairs], size[:-5][pairs])[0, 1]

    (tails, memory), (normal, none) = of(clustered), of(constant)
    assert tails > 5.0 and memory > 0.05
    assert normal == pytest.approx(3.0, abs=0.15) and abs(none) < 0.02


def test_names_share_a_factor(made):
    """Shocks have .3; the tails, each name's own, take a little of it."""
    correlation = np.ma.corrcoef(np.ma.masked_invalid(moves(made.close)[:, 1:]).T)
    assert correlation[np.triu_indices(60, 1)].mean() == pytest.approx(0.27, abs=0.06)


def test_volume_persists_and_says_nothing(made):
    volume = np.log(made.volume)
    pairs = np.isfinite(volume[1:]) & np.isfinite(volume[:-1])
    assert np.corrcoef(volume[1:][pairs], volume[:-1][pairs])[0, 1] == pytest.approx(0.97, abs=0.01)
    size = np.abs(moves(made.close) / made.iv[:-1])
    by_name = [
        np.corrcoef(volume[:-1, i][kept], size[:, i][kept])[0, 1]
        for i in range(61)
        if (kept := np.isfinite(size[:, i]) & np.isfinite(volume[:-1, i])).any()
    ]
    assert abs(np.mean(by_name)) < 0.02


def test_some_names_come_late_some_go_and_some_are_halted_whatever_their_price():
    late = early = halts = 0
    gain = []
    for seed in range(10):
        made = clustered_market(days=DAYS, symbols=60, drift=0.0, seed=seed)
        there = np.isfinite(made.close)
        assert there[:, 0].all()
        late += (~there[0, 1:]).sum()
        early += (~there[-1, 1:]).sum()
        first, last = there.argmax(axis=0), len(there) - there[::-1].argmax(axis=0)
        halts += (last - first - there.sum(axis=0)).sum()
        ends = last[1:] - 1
        gain += [made.close[t, i + 1] / made.close[t - 20, i + 1] - 1 for i, t in enumerate(ends) if t < len(there) - 1]
    assert 0.15 < late / 600 < 0.35 and 0.15 < early / 600 < 0.35
    assert 0.003 < halts / (600 * len(DAYS)) < 0.02
    gain = np.array(gain)[np.isfinite(gain)]
    assert abs(gain.mean()) < 3 * gain.std() / np.sqrt(len(gain))


def test_bars_hold_together(made):
    there = np.isfinite(made.close)
    for values in made:
        np.testing.assert_array_equal(np.isfinite(values), there)
        assert (values[there] > 0).all()
    assert (made.low <= np.minimum(made.open, made.close))[there].all()
    assert (made.high >= np.maximum(made.open, made.close))[there].all()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_seed_makes_one_market(kind):
    one, same, other = (KINDS[kind](days=DAYS[:300], symbols=3, drift=0.0, seed=seed) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one.close, other.close, equal_nan=True)


def test_names_without_a_bar_have_no_row_and_time_is_that_of_the_calendar():
    plan = {"kind": "clustered", "symbols": 12, "sessions": 1500, "first": dt.date(2010, 1, 4), "seed": 3}
    data = market.load(Market.model_validate({"source": "simulated", "simulation": plan}))
    days = sessions("XNYS").filter(pl.col("session") >= plan["first"])["session"].head(1500)
    apart = np.append(1.0, np.diff(days.to_numpy()).astype(float))
    made = clustered_market(days=apart, symbols=12, drift=0.0, seed=3)
    assert len(data.bars) == np.isfinite(made.close).sum() < 13 * 1500
    assert data.bars.filter(pl.col("symbol") == "SIM03")["iv"].to_list() == [
        value for value in made.iv[:, 4] if np.isfinite(value)
    ]
    assert not (data.findings["action"] == "quarantined").any()
