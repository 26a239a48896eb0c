"""Regimes on simulated markets whose states are known, and against independent computations."""

import datetime as dt
import itertools

import numpy as np
import polars as pl
import pytest
from arch.data import sp500 as datasets
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bq.analysis import regimes
from bq.market.calendars import sessions
from bq.simulate.panel import panel_market

MEANS = {2: (-0.0020, 0.0010), 3: (-0.0025, 0.0002, 0.0012)}  # a day, from the worst state to the best
DEVIATIONS = {2: (0.020, 0.008), 3: (0.022, 0.011, 0.006)}
TOUR = 126  # sessions for which each state stands once, before the market switches at random: none appears only later


def days(count):
    return sessions("XNYS").filter(pl.col("session") >= dt.date(2000, 1, 3))["session"].head(count)


def switching_market(seed, *, states, count=1800, stay=200):
    """True states and an index that switches between them."""
    rng = np.random.default_rng(seed)
    true = np.empty(count, int)
    true[: states * TOUR] = np.repeat(np.arange(states)[::-1], TOUR)
    for t in range(states * TOUR, count):
        others = [state for state in range(states) if state != true[t - 1]]
        true[t] = rng.choice(others) if rng.random() < 1 / stay else true[t - 1]
    returns = np.array(MEANS[states])[true] + np.array(DEVIATIONS[states])[true] * rng.standard_normal(count)
    return true, pl.DataFrame({"session": days(count), "close": 100.0 * np.exp(np.cumsum(returns))})


def panel_index(seed):
    """Whether the market is calm and rises, and its index, of a simulated panel: two true states, fat tails."""
    market = panel_market(sessions=2500, symbols=2, oracle_ic=0.1, seed=seed, trends=True)
    return market.calm, pl.DataFrame({"session": days(2500), "close": market.close[:, 0]})


def sp500():
    """The S&P 500, 1999 to 2018, of the arch package."""
    prices = datasets.load()["Adj Close"]
    return pl.DataFrame({"session": list(prices.index.date), "close": prices.to_numpy()})


def probabilities(index, states):
    return regimes.filtered_probabilities(index, states=states, min_sessions=378).probabilities


@pytest.mark.parametrize("seed", range(4), ids=lambda seed: f"seed {seed}")
def test_two_states_are_found_and_keep_their_meaning_whatever_the_seed(seed):
    true, index = switching_market(seed, states=2)
    found = regimes.held(probabilities(index, 2), probability=0.6, sessions=5)
    assert (found == true)[found >= 0].mean() > 0.88


@pytest.mark.parametrize("seed", range(4), ids=lambda seed: f"seed {seed}")
def test_the_worst_of_three_states_is_never_taken_for_the_best(seed):
    true, index = switching_market(seed, states=3)
    found = regimes.held(probabilities(index, 3), probability=0.6, sessions=5)
    known = found >= 0
    assert (found == true)[known].mean() > 0.85
    assert ((found == 2) & (true == 0))[known].mean() < 0.05


@pytest.mark.parametrize(
    "market",
    [
        pytest.param(lambda: panel_index(1)[1], id="panel 1"),
        pytest.param(lambda: panel_index(4)[1], id="panel 4"),
        pytest.param(lambda: panel_index(6)[1], id="panel 6"),
        pytest.param(sp500, id="S&P 500"),
    ],
)
def test_the_model_of_the_next_january_calls_a_session_what_that_of_this_one_called_it(market):
    """In more than 60% of the sessions of the worst year; ordered by mean return, in 1 to 18%."""
    index = market()
    returns, years = 100.0 * np.diff(np.log(index["close"])), index["session"].dt.year().to_numpy()[1:]
    starts = [start for start in np.flatnonzero(np.diff(years, prepend=-1)) if start >= 378]
    assert len(starts) >= 5
    this = regimes._estimate(returns[: starts[0]], 3, None)
    for start, end in itertools.pairwise(starts):
        following = regimes._estimate(returns[:end], 3, this)
        before, after = (regimes._filter(returns[:end], 3, found)[start:].argmax(axis=1) for found in (this, following))
        assert (before == after).mean() > 0.6
        this = following


@pytest.mark.parametrize("seed", [1, 2, 4], ids=lambda seed: f"panel {seed}")
def test_a_falling_market_has_one_name_in_all_years(seed):
    rising, index = panel_index(seed)
    found = regimes.held(probabilities(index, 3), probability=0.6, sessions=5)
    years = index["session"].dt.year().to_numpy()
    falling = [found[(years == year) & (found >= 0) & ~rising] for year in np.unique(years)]
    named = [np.bincount(year, minlength=3).argmax() for year in falling if len(year) > 60]
    assert len(named) >= 3
    assert len(set(named)) == 1


@pytest.mark.parametrize("states", [2, 3])
@pytest.mark.parametrize("cut", [700, 755, 756, 1100], ids=lambda cut: f"cut at {cut}")
def test_what_came_later_changes_no_probability(states, cut):
    _, index = switching_market(7, states=states, count=1200)
    whole, known_then = probabilities(index, states), probabilities(index.head(cut), states)
    np.testing.assert_array_equal(known_then, whole[:cut])


def test_probabilities_are_unknown_before_the_january_with_enough_history():
    _, index = switching_market(1, states=2, count=900)
    p = probabilities(index, 2)
    first = index["session"].to_list().index(dt.date(2002, 1, 2))  # 2000 and 2001 have 500 sessions
    assert np.isnan(p[:first]).all()
    assert np.isfinite(p[first:]).all()
    np.testing.assert_allclose(p[first:].sum(axis=1), 1.0, atol=1e-9)


def test_probabilities_are_those_of_the_forward_recursion():
    """Hamilton 1989, eq. 4.5 to 4.8, written out."""
    rng = np.random.default_rng(3)
    returns = rng.standard_normal(200)
    stay, means, variances = np.array([0.95, 0.90]), np.array([0.3, -0.2]), np.array([0.5, 2.0])
    parameters = np.array([stay[0], 1 - stay[1], *means, *variances])  # p[0->0], p[1->0]
    move = np.array([[stay[0], 1 - stay[1]], [1 - stay[0], stay[1]]])
    p = np.array([1 - stay[1], 1 - stay[0]]) / (2 - stay.sum())
    expected = []
    for value in returns:
        p = (move @ p) * np.exp(-0.5 * (value - means) ** 2 / variances) / np.sqrt(variances)
        p /= p.sum()
        expected.append(p[[1, 0]])  # by falling variance
    np.testing.assert_allclose(regimes._filter(returns, 2, parameters), expected, atol=1e-9)


@pytest.mark.parametrize("every", [900, 11], ids=["never", "one session in eleven"])
def test_a_market_that_hardly_moves_has_no_regimes(every):
    """Expectation maximisation breaks off: a state shrinks to the sessions of which the variance is 0."""
    shocks = np.random.default_rng(0).standard_normal(900)
    moves = np.where(np.arange(900) % every == 0, shocks, 0.0)
    index = pl.DataFrame({"session": days(900), "close": 50.0 * np.exp(0.01 * np.cumsum(moves))})
    found = regimes.filtered_probabilities(index, states=3, min_sessions=378)
    assert np.isnan(found.probabilities).all()
    assert found.estimates and all(one.failed for one in found.estimates)


FAILURES = [
    pytest.param(ValueError("Could not untransform parameters."), "Could not untransform parameters.", id="borders"),
    pytest.param(np.linalg.LinAlgError("Singular matrix"), "Singular matrix", id="singular"),
    pytest.param(RuntimeError(), "RuntimeError", id="without-a-word"),
]


def failing(monkeypatch, error, *, year):
    """Let the estimate on so many sessions fail as statsmodels does: after its steps, before its search."""
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

    whole = MarkovRegression.untransform_params

    def untransform(model, parameters):
        if model.nobs == year:
            raise error
        return whole(model, parameters)

    monkeypatch.setattr(MarkovRegression, "untransform_params", untransform)


@pytest.mark.parametrize(("error", "why"), FAILURES)
def test_a_year_that_cannot_be_estimated_is_filtered_as_the_one_before_and_says_why(monkeypatch, error, why):
    _, index = switching_market(1, states=2, count=1300)
    years = index["session"].dt.year().to_numpy()
    before = regimes.filtered_probabilities(index, states=2, min_sessions=378)
    failing(monkeypatch, error, year=(years < 2003).sum() - 1)  # returns, one fewer than sessions
    found = regimes.filtered_probabilities(index, states=2, min_sessions=378)
    assert [one for one in found.estimates if one.failed] == [(2003, why)]
    assert [one.year for one in found.estimates] == [2002, 2003, 2004, 2005]
    assert np.array_equal(found.probabilities[years < 2003], before.probabilities[years < 2003], equal_nan=True)
    returns = 100.0 * np.diff(np.log(index["close"].to_numpy()))
    kept = regimes._estimate(returns[: (years < 2002).sum() - 1], 2, None)
    filtered = regimes._filter(returns, 2, kept)[years[1:] == 2003]
    np.testing.assert_allclose(found.probabilities[years == 2003], filtered, atol=1e-6)


def test_a_first_year_that_cannot_be_estimated_has_no_regimes_and_the_next_has(monkeypatch):
    _, index = switching_market(1, states=2, count=1300)
    years = index["session"].dt.year().to_numpy()
    failing(monkeypatch, ValueError("no"), year=(years < 2002).sum() - 1)
    p = probabilities(index, 2)
    assert np.isnan(p[years == 2002]).all() and np.isfinite(p[years >= 2003]).all()


def test_a_regime_stands_only_after_it_was_sure_for_some_sessions():
    sure = [(0.9, 0.1)] * 5 + [(0.1, 0.9)] * 4 + [(0.55, 0.45)] + [(0.1, 0.9)] * 5
    found = regimes.held(np.array(sure), probability=0.6, sessions=5)
    assert found.tolist() == [-1] * 4 + [0] * 10 + [1]


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1)), st.integers(1, 6))
def test_a_regime_changes_only_when_the_other_held_long_enough(p, hold):
    found = regimes.held(np.column_stack([p, 1 - p]), probability=0.6, sessions=hold)
    for t in np.flatnonzero(np.diff(found, prepend=-1)):
        recent = np.column_stack([p, 1 - p])[t - hold + 1 : t + 1, found[t]]
        assert len(recent) == hold
        assert (recent >= 0.6).all()


def bars(closes):
    """The bar contract of symbols with these closes, from the first session."""
    frames = [
        pl.DataFrame({"symbol": name, "session": days(len(values)), "close": np.asarray(values, float)})
        for name, values in closes.items()
    ]
    return pl.concat(frames).with_columns(adj=pl.lit(1.0), iv=pl.lit(None, pl.Float64)).sort("symbol", "session")


def test_the_index_is_the_named_symbol_or_else_the_equal_weight_of_all():
    table = bars({"A": [100, 110, 99], "B": [50, 50, 55], "SPX": [1000, 1010, 1020]})
    named, name = regimes.market_index(table, "SPX")
    assert (named["close"].to_list(), name) == ([1000, 1010, 1020], "SPX")
    for symbol in (None, "DAX"):
        equal, name = regimes.market_index(table.filter(pl.col("symbol") != "SPX"), symbol)
        np.testing.assert_allclose(equal["close"], [1.0, 1.05, 1.05])  # +10% and 0%; −10% and +10%
        assert name == "equal weight of 2 symbols"


def test_breadth_is_the_share_of_the_other_symbols_above_their_mean():
    rising, falling = np.arange(1.0, 61.0), np.arange(61.0, 1.0, -1.0)
    names = {f"U{i}": rising for i in range(4)} | {"D": falling, "SPX": rising}
    breadth = regimes.market_index(bars(names), "SPX")[0]["breadth"]
    assert breadth.head(49).null_count() == 49
    np.testing.assert_allclose(breadth.tail(11), 0.8)
    assert regimes.market_index(bars(names).filter(pl.col("symbol") != "D"), "SPX")[0]["breadth"].null_count() == 60


def test_measures_agree_with_their_definitions_in_numpy():
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(500)))
    frame = pl.DataFrame({"session": days(500), "close": close, "iv": [None] * 250 + [0.2] * 249 + [0.9]})
    frame = frame.with_columns(pl.col("iv").cast(pl.Float64), breadth=pl.lit(0.5))
    last = regimes.measures(frame, periods_per_year=252).row(-1, named=True)
    returns, logs = np.diff(np.log(close)), np.log(close)
    assert last["volatility"] == pytest.approx(returns[-21:].std(ddof=1) * np.sqrt(252))
    assert last["momentum"] == pytest.approx(logs[-1] - logs[-64])
    assert last["trend"] == pytest.approx(np.log(close[-1] / close[-126:].mean()))
    momentum = logs[63:] - logs[:-63]
    wanted = (1.0 - realised_percentile(returns) + (momentum[-253:-1] < momentum[-1]).mean() + 0.5) / 3.0
    assert last["fear_greed"] == pytest.approx(wanted)  # implied volatility is not yet known for a year
    known = frame.with_columns(iv=pl.Series([0.2] * 499 + [0.9]))
    assert regimes.measures(known, periods_per_year=252).row(-1, named=True)["fear_greed"] == pytest.approx(
        wanted - (1 - realised_percentile(returns)) / 3
    )


def realised_percentile(returns):
    """Of the newest standard deviation of 21 returns among the 252 before."""
    deviations = np.array([returns[t - 21 : t].std(ddof=1) for t in range(len(returns) - 252, len(returns) + 1)])
    return (deviations[:-1] < deviations[-1]).mean()
