"""The simulated cross-section: its oracle is as good as promised, and without a signal nothing is to be found."""

import numpy as np
import polars as pl
import pytest

from bq import market, strategies
from bq.core import params, paths
from bq.kernels.ranks import rank_rows
from bq.simulate.panel import HORIZON, panel_market

PARAMETERS = paths.CHECKOUT / "parameters" / "simulated" / "forecast.yaml"
FORECAST = strategies.get("forecast")


@pytest.fixture(scope="module")
def made():
    return panel_market(sessions=2500, symbols=150, oracle_ic=0.05, seed=1)


def forward(made):
    """Return of the next ten sessions of each name."""
    close = made.close[:, 1:]
    return close[HORIZON:] / close[:-HORIZON] - 1


def rank_ic(forecast, outcome):
    """Spearman correlation of each session."""
    left, right = (rank_rows(np.asarray(values, np.float32)).astype(float) for values in (forecast, outcome))
    return (left * right).sum(axis=1) / np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))


@pytest.mark.parametrize("wanted", [0.05, 0.15], ids="ic-{}".format)
def test_the_oracle_has_about_the_rank_ic_that_was_asked_for(wanted):
    """Mean of eight markets; its standard error is .002, taken from the spread between them."""
    means = []
    for seed in range(8):
        made = panel_market(sessions=1500, symbols=150, oracle_ic=wanted, seed=seed)
        means.append(rank_ic(made.expected[:-HORIZON], forward(made)).mean())
    assert np.mean(means) == pytest.approx(wanted, abs=4 * np.std(means, ddof=1) / np.sqrt(8))
    assert np.std(means, ddof=1) / np.sqrt(8) < 0.005


def test_the_oracle_forecasts_returns_without_bias(made):
    """Slope of what came beyond the market on what was forecast, near 1 (standard error about .1)."""
    outcome, expected = forward(made), made.expected[:-HORIZON]
    outcome, expected = (values - values.mean(axis=1, keepdims=True) for values in (outcome, expected))
    blocks = [(outcome[i::50] * expected[i::50]).sum() / (expected[i::50] ** 2).sum() for i in range(50)]
    assert np.mean(blocks) == pytest.approx(1.0, abs=0.35)


def test_without_strength_there_is_nothing_to_expect_and_traits_say_nothing():
    null = panel_market(sessions=1500, symbols=100, oracle_ic=0.0, seed=2)
    assert not null.expected.any()
    turnover = (null.close * null.volume)[:-HORIZON, 1:]
    per_block = rank_ic(turnover, forward(null))[::60]  # sixty sessions apart: nearly independent
    assert abs(per_block.mean()) < 3.5 * per_block.std(ddof=1) / np.sqrt(len(per_block))


def test_strength_changes_the_drift_and_nothing_else():
    null, planted = (panel_market(sessions=400, symbols=5, oracle_ic=ic, seed=3) for ic in (0.0, 0.1))
    np.testing.assert_array_equal(null.calm, planted.calm)
    np.testing.assert_array_equal(null.close[:, 0], planted.close[:, 0])
    difference = np.diff(np.log(planted.close[:, 1:]) - np.log(null.close[:, 1:]), axis=0)
    assert difference.std() < 0.05 * np.diff(np.log(null.close), axis=0).std() * 10
    assert 0 < np.abs(difference).max() < 0.02


def test_bars_are_possible(made):
    assert (made.low <= np.minimum(made.open, made.close)).all() and (made.low > 0).all()
    assert (made.high >= np.maximum(made.open, made.close)).all()
    assert (made.volume > 0).all() and np.isfinite(made.volume).all()
    np.testing.assert_array_equal(made.open[1:], made.close[:-1])


def test_names_move_together_cluster_and_have_fat_tails(made):
    moves = np.diff(np.log(made.close), axis=0)[:, 1:]
    between = np.corrcoef(moves.T)[np.triu_indices(150, 1)].mean()
    assert 0.15 < between < 0.55
    scale = np.abs(moves)
    memory = np.mean([np.corrcoef(scale[20:, i], scale[:-20, i])[0, 1] for i in range(150)])
    assert memory > 0.03  # independent ones: 0 ± .002
    standard = (moves - moves.mean(axis=0)) / moves.std(axis=0)
    assert (standard**4).mean() > 4.0


def test_with_trends_a_calm_market_rises_and_a_stormy_one_falls():
    made = panel_market(sessions=20_000, symbols=2, oracle_ic=0.0, seed=4, trends=True)
    index, calm = np.diff(np.log(made.close[:, 0])), made.calm[1:]
    assert index[calm].std() < 0.6 * index[~calm].std()
    assert index[calm].mean() > 0 > index[~calm].mean()
    assert 0.3 < made.calm.mean() < 0.7


def test_a_seed_makes_one_market():
    one, same, other = (panel_market(sessions=300, symbols=3, oracle_ic=0.05, seed=seed) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one.close, other.close)


@pytest.fixture(scope="module")
def events():
    small = "market.simulation.symbols=40 market.simulation.sessions=1500 learning.regimes=null events.every_sessions=1"
    settings = params.load(PARAMETERS, FORECAST.settings, overrides=small)
    data = market.load(settings.market)
    assert len(data.bars) == 41 * 1500 and data.findings.filter(pl.col("action") == "quarantined").is_empty()
    return FORECAST.table.build(data, settings, FORECAST.table.schedule(data, settings)).events


def test_the_factors_see_both_traits(events):
    """Rank correlation with the truth that each session's events have; the traits drive turnover and range."""
    truth = panel_market(sessions=1500, symbols=40, oracle_ic=0.10, seed=1)
    first = events["session"].unique().sort()
    turnover = np.log(truth.close * truth.volume)[-len(first) :, 1:]
    reach = np.log(truth.high / truth.low)[-len(first) :, 1:]
    for factor, trait in (("dollar_vol_20", turnover), ("atr_pct_14", reach)):
        found = events.sort("session", "symbol")[f"{factor}_rank"].to_numpy().reshape(len(first), 40)
        assert rank_ic(found, trait).mean() > 0.7, factor


def test_the_linear_part_is_found_by_one_factor(events):
    """Three fifths of the variance of an oracle of .10: about .077, less what twenty sessions' mean blurs."""
    known = events.filter(pl.col("outcome").is_not_null()).sort("session", "symbol")
    found, outcome = (known[name].to_numpy().reshape(-1, 40) for name in ("dollar_vol_20_rank", "outcome"))
    assert 0.03 < rank_ic(found, outcome).mean() < 0.12


def test_events_are_labelled_simulated(events):
    assert set(events["source"]) == {"simulated"}
    assert "SIMX" not in set(events["symbol"])


@pytest.mark.parametrize("trends", [False, True], ids=["martingale", "trends"])
def test_a_beta_has_an_expected_return_only_where_regimes_have_a_direction(trends):
    """Mean over 12 markets of the rank correlation of beta with the next ten sessions' return, calm and stormy."""
    found = []
    for seed in range(12):
        null = panel_market(sessions=1500, symbols=60, oracle_ic=0.0, seed=seed, trends=trends)
        moves = np.diff(np.log(null.close), axis=0)
        beta = (moves[:, 1:] * moves[:, [0]]).sum(axis=0) / (moves[:, 0] ** 2).sum()
        ic, calm = rank_ic(np.tile(beta, (1500 - HORIZON, 1)), forward(null)), null.calm[:-HORIZON]
        found.append((ic[calm].mean(), ic[~calm].mean()))
    calm, stormy = np.nanmean(found, axis=0)
    error = np.nanstd(found, axis=0, ddof=1) / np.sqrt(12)
    if trends:
        assert calm > 3 * error[0] and stormy < -2 * error[1]
    else:
        assert abs(calm) < 3 * error[0] and abs(stormy) < 3 * error[1]


def test_a_signal_that_turns_is_the_same_with_the_other_sign():
    """Before the day markets are equal; after it each drift is that of the unchanged market times what is left."""
    alive = np.where(np.arange(400) < 200, 1.0, -1.0)
    kept, turned, null = (
        panel_market(sessions=400, symbols=5, seed=3, oracle_ic=ic, alive=left)
        for ic, left in ((0.1, 1.0), (0.1, alive), (0.0, 1.0))
    )
    np.testing.assert_array_equal(kept.close[:200], turned.close[:200])
    np.testing.assert_array_equal(kept.expected[200:], -turned.expected[200:])
    simple = [np.diff(made.close, axis=0) / made.close[:-1] for made in (kept, turned, null)]
    drift, back = (part[200:, 1:] - simple[2][200:, 1:] for part in simple[:2])
    np.testing.assert_allclose(drift, -back, atol=1e-12)
