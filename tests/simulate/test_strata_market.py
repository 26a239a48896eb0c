"""The simulated market of many names under a volatility index, and the events that are drawn from it."""

import numpy as np
import polars as pl
import pytest

from bq import market, strategies
from bq.core import params, paths
from bq.core.errors import BadData
from bq.simulate.strata import PREMIUM, Strata, strata_market
from bq.strategies import store
from bq.strategies.butterfly import variant

BUTTERFLY = strategies.get("butterfly")
PARAMETERS = paths.CHECKOUT / "parameters" / "simulated" / "butterfly_strata.yaml"
SMALL = "market.simulation.symbols=2 market.simulation.sessions=1500 events.vix_strata=[3,4,3]"


def settings(overrides: str = ""):
    return params.load(PARAMETERS, BUTTERFLY.settings, overrides=overrides)


@pytest.fixture(scope="module")
def made() -> Strata:
    return strata_market(sessions=3000, symbols=50, seed=1)


@pytest.fixture(scope="module")
def whole():
    """The market of the shipped parameters: fifty names."""
    return market.load(settings().market)


@pytest.fixture(scope="module")
def small():
    return market.load(settings(SMALL).market)


@pytest.fixture(autouse=True)
def a_home_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))


def moves(made: Strata) -> np.ndarray:
    return np.diff(np.log(made.close), axis=0)


def test_a_seed_makes_one_market():
    one, same, other = (strata_market(sessions=700, symbols=3, seed=seed) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one.close, other.close)
    assert one.close.shape == one.iv.shape == (700, 4)
    assert (one.close > 0).all() and (one.iv > 0).all()


def test_names_move_together_but_not_as_one(made):
    """Correlations with the index of .3 to .6 make .09 to .36 between names."""
    correlation = np.corrcoef(moves(made).T)
    between = correlation[1:, 1:][np.triu_indices(50, 1)]
    assert 0.15 < between.mean() < 0.27
    assert between.min() > 0.0 and between.max() < 0.45
    assert correlation[0, 1:].min() > 0.25 and correlation[0, 1:].max() < 0.68


def test_names_are_more_volatile_than_the_index_by_the_stated_multiples(made):
    ratio = moves(made)[:, 1:].std(axis=0) / moves(made)[:, 0].std()
    assert 1.0 < ratio.min() < 1.5 and 1.9 < ratio.max() < 2.5


def test_implied_volatility_is_the_true_one_times_the_premium(made):
    """Each day's move in units of the evening before's implied volatility."""
    units = moves(made) / (made.iv[:-1] / np.sqrt(252))
    assert np.sqrt((units**2).mean()) * PREMIUM == pytest.approx(1.0, rel=0.03)
    assert (np.sqrt((units**2).mean(axis=0)) * PREMIUM < 1.2).all()


def test_an_error_of_implied_volatility_lasts_for_weeks(made):
    error = np.log(made.iv[500:, 1:] / made.iv[500:, [0]])
    error = error - error.mean(axis=0)
    memory = [np.corrcoef(error[:-21, i], error[21:, i])[0, 1] for i in range(50)]
    assert 0.35 < np.mean(memory) < 0.65  # .97 to the 21st power is .53
    assert error.std() == pytest.approx(0.12, rel=0.15)


def test_the_volatility_index_rises_when_the_market_falls_and_visits_all_strata(made):
    index = made.iv[:, 0]
    assert np.corrcoef(moves(made)[:, 0], np.diff(np.log(index)))[0, 1] == pytest.approx(-0.7, abs=0.06)
    shares = [(index < 0.15).mean(), (index >= 0.25).mean()]
    assert all(0.03 < share < 0.35 for share in shares)


def test_prices_say_nothing_about_their_direction(made):
    """Autocorrelations of standardised moves, ten lags of fifty names, are those of noise."""
    units = moves(made)[:, 1:] / made.iv[:-1, 1:]
    n = len(units)
    found = [np.corrcoef(units[lag:, i], units[:-lag, i])[0, 1] for lag in range(1, 11) for i in range(50)]
    assert np.std(found) == pytest.approx(1 / np.sqrt(n), rel=0.15)
    assert abs(np.mean(found)) < 0.005


def test_forty_calm_sixty_usual_and_forty_stormy_sessions_are_drawn_for_each_of_fifty_names(whole):
    wanted = BUTTERFLY.table.schedule(whole, settings())
    index = dict(whole.bars.filter(pl.col("symbol") == "SIMX").select("session", "iv").iter_rows())
    names = [symbol for symbol in wanted if symbol != "SIMX"]
    assert len(names) == 50
    for sessions in wanted.values():
        level = np.array([index[session] for session in sessions])
        assert len(set(sessions)) == 140
        assert [(level < 0.15).sum(), ((level >= 0.15) & (level < 0.25)).sum(), (level >= 0.25).sum()] == [40, 60, 40]
        assert min(sessions) >= settings().events.first


def test_the_draw_is_by_the_seed(whole):
    one, same, other = (
        BUTTERFLY.table.schedule(whole, settings(f"learning.seed={seed}"))["SIM00"] for seed in (7, 7, 8)
    )
    assert one == same and one != other


def test_more_stormy_sessions_than_there_are_is_an_error(small):
    with pytest.raises(BadData, match="asks for 999 sessions of stratum 2"):
        BUTTERFLY.table.schedule(small, settings(f"{SMALL} events.vix_strata=[3,4,999]"))


@pytest.fixture(scope="module")
def collected(small, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BQ_HOME", str(tmp_path_factory.mktemp("home")))
        return store.collect(BUTTERFLY, settings(SMALL), small)


def test_events_of_a_simulated_market_are_labelled_simulated(collected, small):
    assert small.source == "simulated"
    assert set(collected.events["source"].cast(pl.String)) == {"simulated"}
    assert len(collected.events) + len(collected.refused) == 3 * 10
    assert str(settings().namespace) == "butterfly-simulated"


def test_an_event_for_deciding_today_has_the_features_of_the_one_for_training(collected, small):
    """One function computes both: `build` of the strategy, under one variant name."""
    plan = settings(SMALL)
    features = BUTTERFLY.features(plan).columns
    for session in collected.events["session"].unique().sort()[:3]:
        live = store.at(BUTTERFLY, plan, small, session)
        trained = collected.events.filter(pl.col("session") == session)
        live = live.filter(pl.col("event_id").is_in(trained["event_id"].implode())).sort("symbol")
        assert len(live) == len(trained) > 0
        assert live.select(features).equals(trained.sort("symbol").select(features), null_equal=True)


def test_simulated_and_real_events_share_the_function_and_differ_in_the_variant_only_by_their_parameters():
    simulated = settings()
    real = params.load(paths.parameters("butterfly"), BUTTERFLY.settings)
    structure = real.structure.model_copy(update={"index_symbols": ["SIMX"], "vix_to_atm": 1.0})
    assert variant(real.model_copy(update={"structure": structure})) == variant(simulated)
    assert variant(real) != variant(simulated)
