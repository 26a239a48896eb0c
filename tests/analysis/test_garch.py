import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bq.analysis import garch
from bq.analysis.garch import fit_garch
from bq.core.errors import BadData, BadParameters

ENGINES = ("compiled", "reference")
garch_volatility = partial(garch.garch_volatility, periods_per_year=252)


def simulated(*, omega: float, alpha: float, beta: float, days: int, freedom: float | None = None, seed: int = 0):
    """Returns × 100 of a GARCH(1,1), normal or Student with `freedom` degrees, started far before the window."""
    random = np.random.default_rng(seed)
    shocks = random.standard_normal(days + 300)
    if freedom:
        shocks = random.standard_t(freedom, days + 300) * np.sqrt((freedom - 2) / freedom)
    variance, returns = omega / max(1 - alpha - beta, 0.01), np.empty(days + 300)
    for t, shock in enumerate(shocks):
        returns[t] = np.sqrt(variance) * shock
        variance = omega + alpha * returns[t] ** 2 + beta * variance
    return 0.05 + returns[300:]


PROCESSES = {
    "persistent": {"omega": 0.02, "alpha": 0.08, "beta": 0.9},
    "near-integrated": {"omega": 0.01, "alpha": 0.07, "beta": 0.9299},
    "integrated": {"omega": 0.01, "alpha": 0.1, "beta": 0.9},
    "short-lived": {"omega": 0.5, "alpha": 0.3, "beta": 0.1},
    "arch-only": {"omega": 1.0, "alpha": 0.6, "beta": 0.0},
    "heavy-tails": {"omega": 0.05, "alpha": 0.1, "beta": 0.85, "freedom": 3.5},
    "no-clustering": {"omega": 1.0, "alpha": 0.0, "beta": 0.0},
}
cases = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES.keys())


@pytest.fixture(scope="module")
def dem2gbp():
    folder = os.environ.get("BQ_TEST_DATA")
    path = Path(folder).parent / "reference" / "dem2gbp.txt" if folder else None
    if path is None or not path.is_file():
        pytest.skip("needs ../reference/dem2gbp.txt beside the folder in BQ_TEST_DATA")
    return np.loadtxt(path)


@pytest.mark.parametrize("engine", ENGINES)
def test_fit_reproduces_the_mark_pound_benchmark(dem2gbp, engine):
    # Fiorentini, Calzolari and Panattoni (1996); log-likelihood from arch 8 with the same start of the recursion
    fit = fit_garch(dem2gbp, engine=engine)
    assert fit.omega == pytest.approx(0.0107613, rel=1e-4)
    assert fit.alpha == pytest.approx(0.153134, rel=1e-4)
    assert fit.beta == pytest.approx(0.805974, rel=1e-4)
    assert fit.loglikelihood == pytest.approx(-1106.6079, abs=5e-5)


def test_compiled_mean_is_the_benchmark_where_arch_holds_the_backcast_fixed(dem2gbp):
    assert fit_garch(dem2gbp, engine="compiled").mu == pytest.approx(-0.00619041, rel=1e-4)


@cases
@pytest.mark.parametrize("days", [250, 1000])
def test_compiled_likelihood_reaches_arch(process, days):
    for seed in range(3):
        returns = simulated(**process, days=days, seed=seed)
        ours, peer = (fit_garch(returns, engine=engine).loglikelihood for engine in ENGINES)
        assert ours >= peer - 1e-6 * abs(peer)


@cases
def test_engines_forecast_the_same_where_they_found_the_same_optimum(process):
    windows = np.array([simulated(**process, days=500, seed=seed) for seed in range(4)])
    ours, peer = (garch_volatility(windows, engine=engine) for engine in ENGINES)
    likelihoods = np.array([[fit_garch(row, engine=engine).loglikelihood for engine in ENGINES] for row in windows])
    same = np.abs(np.diff(likelihoods)[:, 0]) < 1e-4
    assert same.any()
    np.testing.assert_allclose(ours[same], peer[same], rtol=5e-3)


def test_volatility_is_the_annualised_mean_of_archs_own_variance_forecast():
    from arch import arch_model

    # so long a window that it does not matter where the recursion starts
    returns = simulated(omega=0.05, alpha=0.1, beta=0.85, days=2000)
    fit = arch_model(returns, rescale=False).fit(disp="off")
    variance = fit.forecast(horizon=30).variance.to_numpy()[-1].mean()
    expected = np.sqrt(252 * variance) / 100
    assert garch_volatility(returns[None, :], horizon=30)[0] == pytest.approx(expected, rel=2e-3)


def test_volatility_of_independent_returns_is_their_standard_deviation():
    returns = np.random.default_rng(3).normal(0, 1.26, size=(1, 2000))
    assert garch_volatility(returns)[0] == pytest.approx(0.0126 * np.sqrt(252), rel=0.05)


def test_each_row_depends_on_itself_alone():
    windows = np.array([simulated(**process, days=120, seed=7) for process in PROCESSES.values()])
    order = np.random.default_rng(0).permutation(len(windows))
    together = garch_volatility(windows)
    np.testing.assert_array_equal(garch_volatility(windows[order]), together[order])
    np.testing.assert_array_equal(garch_volatility(windows[2:3]), together[2:3])


def test_sliding_views_give_what_copies_give():
    returns = simulated(**PROCESSES["persistent"], days=130)
    view = np.lib.stride_tricks.sliding_window_view(returns, 120)
    np.testing.assert_array_equal(garch_volatility(view), garch_volatility(view.copy()))


@settings(deadline=None, max_examples=25)
@given(factor=st.floats(0.01, 100), seed=st.integers(0, 1000))
def test_volatility_scales_with_the_returns(factor, seed):
    returns = simulated(**PROCESSES["persistent"], days=150, seed=seed)[None, :]
    np.testing.assert_allclose(garch_volatility(factor * returns), factor * garch_volatility(returns), rtol=1e-6)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), days=st.integers(50, 300), freedom=st.sampled_from([2.1, 3, 5, 50]))
def test_every_fit_is_stationary_with_positive_variance(seed, days, freedom):
    fit = fit_garch(np.random.default_rng(seed).standard_t(freedom, days))
    assert fit.omega > 0
    assert fit.alpha >= 0
    assert fit.beta >= 0
    assert fit.alpha + fit.beta < 1
    assert np.isfinite(fit.loglikelihood)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fill", [np.nan, np.inf, 1.0], ids=["nan", "infinite", "constant"])
def test_unusable_row_is_nan_and_leaves_the_others(engine, fill):
    windows = np.array([simulated(**PROCESSES["persistent"], days=120, seed=seed) for seed in range(2)])
    alone = garch_volatility(windows[1:], engine=engine)
    if fill == 1.0:
        windows[0] = fill
    else:
        windows[0, 60] = fill
    both = garch_volatility(windows, engine=engine)
    assert np.isnan(both[0])
    np.testing.assert_array_equal(both[1:], alone)
    assert np.isnan(fit_garch(windows[0], engine=engine)).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_no_windows_give_no_values(engine):
    assert garch_volatility(np.empty((0, 120)), engine=engine).shape == (0,)


@pytest.mark.parametrize("shape", [(120,), (3, 49), (2, 3, 60)], ids=["vector", "short", "cube"])
def test_other_shapes_are_refused(shape):
    with pytest.raises(BadData, match="returns_pct must be a matrix of one window a row, at least 50"):
        garch_volatility(np.zeros(shape))


def test_unknown_engine_is_refused_with_the_nearest_name():
    with pytest.raises(BadParameters, match="did you mean `compiled`"):
        garch_volatility(np.zeros((1, 120)), engine="compild")


@pytest.mark.parametrize("module", ["garch", "arima", "options"])
def test_importing_a_wrapper_imports_no_heavy_library(module):
    heavy = "{'numba', 'arch', 'statsmodels', 'scipy', 'pandas'}"
    code = f"import sys, bq.analysis.{module}; sys.exit(' '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
