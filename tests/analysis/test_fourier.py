import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bq import market
from bq.analysis.fourier import DEFAULT_PERIOD_DAYS, FourierReading, fourier_reading
from bq.core.settings import Market

N = 504
TIME = np.arange(N)


def reading(*windows: np.ndarray, volumes: np.ndarray | None = None) -> FourierReading:
    return fourier_reading(np.array(windows, float), volumes)


def wave(period: float, *, size: float = 2.0, phase: float = 0.0) -> np.ndarray:
    """A cosine around 100 that stands at `phase` (1 is a whole cycle, 0 the peak) on the last bar."""
    return 100.0 + size * np.cos(2 * np.pi * ((TIME - TIME[-1]) / period + phase))


def walks(count: int, *, seed: int, bars: int = N) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 50.0 * np.exp(np.cumsum(0.013 * rng.standard_normal((count, bars)), axis=1))


@pytest.mark.parametrize("period", [8, 10, 14, 21, 30, 45, 60, 90, 120], ids="period-{}".format)
def test_the_period_of_a_planted_cycle_is_found(period):
    found = reading(wave(period) + 0.05 * np.random.default_rng(1).standard_normal(N))
    resolution = period**2 / (N - 19)  # the spacing of the spectrum's lines there
    assert found.dominant_period[0] == pytest.approx(period, abs=resolution)
    assert found.period_strength[0] > 0.4  # the Hann window spreads a line over three


def test_the_stronger_of_two_cycles_dominates():
    assert reading(wave(20, size=3) + wave(60, size=1)).dominant_period[0] == pytest.approx(20, abs=1)


@pytest.mark.parametrize("period", [3, 5, 6.9], ids="period-{}".format)
def test_a_cycle_outside_the_allowed_periods_is_never_dominant(period):
    found = reading(wave(period, size=5))
    assert found.dominant_period[0] == DEFAULT_PERIOD_DAYS or 7 < found.dominant_period[0] < 180


def test_a_price_that_never_moves_has_no_cycle_and_no_trend():
    found = reading(np.full(N, 100.0))
    assert (found.dominant_period[0], found.period_strength[0]) == (DEFAULT_PERIOD_DAYS, 0.0)
    assert found.trend_slope[0] == found.cycle[0] == 0.0


@pytest.mark.parametrize("slope", [-0.4, -0.15, -0.05, 0.05, 0.15, 0.4], ids="{}%".format)
def test_the_slope_of_a_straight_line_is_found_exactly(slope):
    prices = 200.0 + slope * (TIME - TIME[-1])
    assert reading(prices).trend_slope[0] == pytest.approx(100 * slope / 200.0, rel=1e-9)


@pytest.mark.parametrize("slope", [-0.3, 0.3], ids=["down", "up"])
def test_a_trend_has_its_sign_through_noise_and_short_cycles(slope):
    prices = 200.0 + slope * (TIME - TIME[-1]) + wave(20) - 100
    noisy = prices + 0.5 * np.random.default_rng(2).standard_normal((50, N))
    assert (np.sign(fourier_reading(noisy).trend_slope) == np.sign(slope)).all()


def test_the_last_bars_of_a_turned_trend_count():
    turned = 100.0 + 0.2 * np.where(TIME < N - 120, TIME, 2 * (N - 120) - TIME)
    assert reading(turned).trend_slope[0] < -0.05 and reading(turned[::-1].copy()).trend_slope[0] < 0


@pytest.mark.parametrize("period", [30, 45], ids="period-{}".format)
@pytest.mark.parametrize(("phase", "peak"), [(0.0, True), (0.5, False)], ids=["peak", "trough"])
def test_a_cycle_is_at_its_peak_or_in_its_trough(period, phase, peak):
    middle_of_last_ten = 4.5 / period
    assert (reading(wave(period, phase=phase + middle_of_last_ten)).cycle[0] > 0) == peak


@given(seed=st.integers(0, 10**6), factor=st.floats(1e-3, 1e4))
@hypothesis_settings(max_examples=25)
def test_a_reading_does_not_depend_on_the_unit_of_the_price(seed, factor):
    prices = walks(2, seed=seed)
    one, other = fourier_reading(prices), fourier_reading(prices * factor)
    np.testing.assert_allclose(other.trend_slope, one.trend_slope, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(other.cycle, one.cycle * factor, rtol=1e-8, atol=1e-10 * factor)
    np.testing.assert_array_equal(other.dominant_period, one.dominant_period)
    np.testing.assert_allclose(other.period_strength, one.period_strength, rtol=1e-8)


def test_a_window_is_read_alike_alone_and_among_others():
    prices = walks(40, seed=3)
    volumes = np.random.default_rng(3).lognormal(10, 0.5, prices.shape)
    together = fourier_reading(prices, volumes)
    for count in (1, 2, 3, 7):
        for name, values in fourier_reading(prices[:count], volumes[:count])._asdict().items():
            np.testing.assert_array_equal(values, getattr(together, name)[:count], err_msg=name)


def test_equal_volumes_are_as_none():
    prices = walks(5, seed=4)
    plain = fourier_reading(prices)
    for volumes in (np.full_like(prices, 7.0), np.full_like(prices, np.nan), np.zeros_like(prices)):
        for name, values in fourier_reading(prices, volumes)._asdict().items():
            np.testing.assert_allclose(values, getattr(plain, name), rtol=1e-9, atol=1e-11, err_msg=name)


def test_one_missing_volume_turns_to_the_simple_mean_for_that_window_only():
    prices = walks(2, seed=5)
    volumes = np.random.default_rng(5).lognormal(10, 1.0, prices.shape)
    whole = fourier_reading(prices, volumes)
    volumes[1, 100] = np.nan
    torn, plain = fourier_reading(prices, volumes), fourier_reading(prices)
    assert (torn.cycle[0], torn.cycle[1]) == (whole.cycle[0], plain.cycle[1])
    assert whole.cycle[1] != plain.cycle[1]


def test_traded_volume_weighs_the_mean_that_is_taken_out():
    """The VWAP of each bar, by a plain loop, gives the same cycle."""
    prices = walks(1, seed=6)
    volumes = np.random.default_rng(6).lognormal(10, 1.0, prices.shape)
    window = 20
    vwap = [
        np.average(prices[0, t - window + 1 : t + 1], weights=volumes[0, t - window + 1 : t + 1])
        for t in range(window - 1, N)
    ]
    detrended = prices[0, window - 1 :] - np.array(vwap)
    spectrum = np.fft.fft(detrended)
    for k in range(len(detrended)):
        frequency = min(k, len(detrended) - k) / len(detrended)
        if frequency == 0 or not 5 <= 1 / frequency <= 60:
            spectrum[k] = 0
    assert fourier_reading(prices, volumes).cycle[0] == pytest.approx(np.fft.ifft(spectrum).real[-10:].mean(), rel=1e-9)


def test_short_windows_are_refused_and_the_shortest_is_read():
    with pytest.raises(ValueError, match="windows must hold >= 50 bars, but got 49"):
        fourier_reading(walks(1, seed=1, bars=49))
    assert np.isfinite(fourier_reading(walks(3, seed=1, bars=50))).all()
    assert fourier_reading(np.zeros((0, 60))).cycle.shape == (0,)


def test_about_a_third_of_the_default_data_has_no_trend_at_the_default_threshold():
    """The default of `analysis.trend_threshold` was chosen for this."""
    symbols = ["AAPL", "KO", "JPM", "XOM", "SPX", "GE"]
    bars = market.load(Market(symbols=symbols)).bars
    slopes = []
    for symbol in symbols:
        level = bars.filter(bars["symbol"] == symbol)["close"].to_numpy()
        windows = np.lib.stride_tricks.sliding_window_view(level, N)[-3000::10]
        slopes.append(fourier_reading(windows).trend_slope)
    flat = (np.abs(np.concatenate(slopes)) <= 0.10).mean()
    assert 0.25 < flat < 0.45
