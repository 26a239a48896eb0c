"""What an event of the forecast strategy knows at t0, what it earns, and which dates give none."""

import datetime as dt
import logging

import numpy as np
import polars as pl
import pytest
from event_samples import days, market_of
from forecast_samples import (
    FORECAST,
    LATER,
    NAMES,
    SESSIONS,
    built,
    forecast_settings,
    one,
    panel_bars,
    price,
    session,
    without,
)
from scipy.stats import rankdata

from bq.core.errors import BadData
from bq.strategies import store
from bq.strategies.forecast.build import rule_score
from bq.strategies.forecast.factors import kept_weight
from bq.strategies.forecast.features import FACTORS, FAMILY, RANKS

T = 260  # a session with a year of history


@pytest.fixture(scope="module")
def bars():
    return panel_bars()


@pytest.fixture(scope="module")
def events(bars):
    return built(bars)[0]


def test_return_runs_from_the_next_open_to_the_close_ten_sessions_after_t0(bars, events):
    found = one(events, "N3", T)
    assert found["outcome"] == pytest.approx(price(bars, "N3", T + 10) / price(bars, "N3", T + 1, "open") - 1)
    assert (found["entry_at"], found["exit_stale_sessions"]) == ("open", 0)
    assert found["t1"] == found["t1_due"] and found["t1"].date() == session(T + 10)
    assert found["t0"].date() == session(T)


def test_without_opens_the_entry_is_the_next_close(bars):
    closes = bars.with_columns(open=pl.lit(None, pl.Float64))
    found = one(built(closes)[0], "N3", T)
    assert found["outcome"] == pytest.approx(price(bars, "N3", T + 10) / price(bars, "N3", T + 1) - 1)
    assert found["entry_at"] == "close"


def test_a_split_changes_no_feature_and_no_outcome(bars, events):
    """Two new shares for an old one at session T + 5: prices halve, volumes double, `adj` says so."""
    before = (pl.col("symbol") == "N3") & (pl.col("session") < session(T + 5))
    split = bars.with_columns(
        *(
            pl.when(before).then(2 * pl.col(name)).otherwise(name).alias(name)
            for name in ("open", "high", "low", "close")
        ),
        volume=pl.when(before).then(pl.col("volume") / 2).otherwise("volume"),
        adj=pl.when(before).then(0.5).otherwise(1.0),
    )
    found = built(split)[0]
    assert found["event_id"].equals(events["event_id"])
    for name in (*FACTORS, "outcome", "score"):
        np.testing.assert_allclose(found[name].to_numpy(), events[name].to_numpy(), rtol=1e-5, atol=1e-6)


def test_the_newest_ten_sessions_are_open_and_can_be_predicted(events):
    waiting = events.filter(pl.col("outcome").is_null())
    assert waiting["session"].unique().sort().to_list() == days(SESSIONS)[-10:].to_list()
    assert waiting["t1"].null_count() == len(waiting) == 10 * NAMES
    assert waiting["t1_due"].null_count() == 0 and waiting.select(RANKS).null_count().sum_horizontal()[0] == 0


def test_a_name_delisted_within_the_horizon_earns_its_last_price_and_is_flagged(bars):
    gone = without(bars, "N3", days(SESSIONS)[T + 5 :].to_list())
    found = one(built(gone)[0], "N3", T)
    assert found["outcome"] == pytest.approx(price(bars, "N3", T + 4) / price(bars, "N3", T + 1, "open") - 1)
    assert found["exit_stale_sessions"] == 6 and found["t1"].date() == session(T + 10)


def test_a_name_that_trades_no_more_the_next_session_gives_no_event(bars):
    events, refused = built(without(bars, "N3", days(SESSIONS)[T + 1 :].to_list()))
    assert events.filter(pl.col("symbol") == "N3")["session"].max() == session(T - 1)
    assert refused.filter(pl.col("session") == session(T)).rows() == [
        ("N3", session(T), "no_entry", "no price in the session after t0")
    ]


def test_a_halt_in_between_is_waited_out(bars, events):
    found = one(built(without(bars, "N3", [session(T + 3), session(T + 4)]))[0], "N3", T)
    assert found["outcome"] == pytest.approx(one(events, "N3", T)["outcome"])


def test_a_late_name_needs_a_year_of_history_and_the_others_do_without_it(bars, events):
    late = without(bars, "N3", days(SESSIONS)[:20].to_list())
    found, refused = built(late)
    assert found.filter(pl.col("symbol") == "N3")["session"].min() == session(20 + 252)
    young = refused.filter(pl.col("symbol") == "N3")
    assert set(young["reason"]) == {"fewer than 252 sessions of history"} and len(young) == 252
    assert one(found, "N4", T)["reversal_5d"] == one(events, "N4", T)["reversal_5d"]


def test_a_day_with_three_symbols_gives_no_event_and_says_why(bars):
    few = bars.filter(pl.col("symbol").is_in(["SPX", "N0", "N1", "N2"]) | (pl.col("session") != session(T)))
    events, refused = built(few)
    assert session(T) not in events["session"].to_list()
    reasons = refused.filter(pl.col("session") == session(T))["reason"]
    assert reasons.to_list() == ["fewer than 5 names in the session"] * 3


def test_the_index_is_no_event_and_stands_in_no_rank(bars, events):
    assert "SPX" not in events["symbol"].to_list()
    other = bars.with_columns(
        pl.when(pl.col("symbol") == "SPX").then(pl.col("volume") * 50).otherwise("volume").alias("volume")
    )
    assert events.select(RANKS).equals(built(other)[0].select(RANKS), null_equal=True)
    _, refused = built(bars, wanted={"SPX": [session(T)], "N0": [session(T)]})
    assert refused.rows() == [("SPX", session(T), "index", "an index is not traded")]


def test_a_rank_is_that_of_the_factor_within_its_session(events):
    for (_,), day in events.filter(pl.col("session") >= session(SESSIONS - 3)).group_by("session"):
        for factor in FACTORS:
            expected = (rankdata(day[factor]) - 0.5) / len(day) - 0.5
            np.testing.assert_allclose(day[f"{factor}_rank"], expected, atol=1e-6, err_msg=factor)


def test_no_event_changes_when_later_bars_are_removed(bars, events):
    """Nothing but what is known of entry and exit: those are not there yet."""
    cut = session(T)
    found = built(bars.filter(pl.col("session") <= cut))[0]
    known = [name for name in events.columns if name not in LATER]
    assert found.select(known).equals(events.filter(pl.col("session") <= cut).select(known), null_equal=True)
    assert found.filter(pl.col("session") == cut)["outcome"].null_count() == NAMES


def test_an_event_built_alone_is_the_one_built_with_all_others(bars, events):
    alone = built(bars, wanted={"N3": [session(T)]})[0]
    assert alone.to_dicts() == [one(events, "N3", T)]


def test_a_wanted_day_without_a_bar_gives_no_event(bars, events):
    other = {"N3": [dt.date(1990, 1, 2), session(T), session(T) + dt.timedelta(days=5000)], "UNKNOWN": [session(T)]}
    assert built(bars, wanted=other)[0].to_dicts() == [one(events, "N3", T)]


def test_an_extra_lag_takes_features_from_so_many_sessions_before(bars, events):
    found = one(built(bars, "temporal.extra_lag=2")[0], "N3", T)
    earlier = one(events, "N3", T - 2)
    assert [found[name] for name in FACTORS] == [earlier[name] for name in FACTORS]
    assert found["outcome"] == one(events, "N3", T)["outcome"]
    assert found["event_id"] != one(events, "N3", T)["event_id"]  # other features: another variant


def test_lagged_columns_are_there_where_asked_for_and_are_earlier_ranks(bars, events):
    assert not any("_lag" in name for name in events.columns)
    lagged = built(bars, "temporal.lags=[1,2,5] learning.features=alpha_lagged")[0]
    sets = {found.name: set(found.columns) for found in FORECAST.table.feature_sets}
    assert sets["alpha_ranks"] < sets["alpha_decayed"] < sets["alpha_lagged"] <= set(lagged.columns)
    for lag in (1, 2, 5):
        now, then = one(lagged, "N3", T + 5), one(events, "N3", T + 5 - lag)
        assert [now[f"{name}_lag{lag}"] for name in RANKS] == [then[name] for name in RANKS]


def test_factors_without_volume_are_missing_and_named_and_marked(bars, caplog):
    with caplog.at_level(logging.WARNING, logger="bq"):
        found = built(bars.with_columns(volume=pl.lit(None, pl.Float64)))[0]
    assert (
        "missing everywhere, for lack of volume, high, low or history: volume_price_corr_3d, liquid_mom" in caplog.text
    )
    assert found["amihud_20_rank"].is_nan().all() and not found["atr_pct_14_rank"].is_nan().any()
    assert (found["no_volume"] == 1).all() and (found["no_range"] == 0).all()


def test_score_is_the_mean_rank_of_a_years_momentum_and_a_weeks_reversal(events):
    expected = (events["momentum_252_rank"] + events["reversal_5d_rank"]) / 2
    np.testing.assert_allclose(events["score"], expected, atol=1e-6)


def test_score_without_a_years_history_is_the_reversal_alone_and_without_both_the_middle():
    nan = float("nan")
    ranks = pl.DataFrame({"momentum_252_rank": [nan, nan], "reversal_5d_rank": [0.3, nan]})
    assert ranks.select(rule_score()).to_series().to_list() == [0.3, 0.0]


def test_half_lives_are_shorter_in_stormy_sessions_and_longer_in_calm_ones():
    rng = np.random.default_rng(1)
    market = rng.standard_normal(900) * np.repeat([0.01, 0.03, 0.005], 300)
    decay = forecast_settings().decay
    half_life = np.log(0.5) / np.log(kept_weight(market, "momentum", decay))
    assert set(half_life.round(6)) == {8.0 * 0.7, 8.0, 8.0 * 1.3}
    np.testing.assert_allclose(half_life[:60], 8.0)  # no past to compare with
    assert np.median(half_life[320:380]) == pytest.approx(5.6)
    assert np.median(half_life[620:680]) == pytest.approx(10.4)
    cut = kept_weight(market[:500], "momentum", decay)
    np.testing.assert_array_equal(cut, kept_weight(market, "momentum", decay)[:500])


def test_a_decayed_factor_ranks_the_recency_weighted_mean_of_its_observations(bars, events):
    """With one half-life in all states, against pandas."""
    import pandas as pd

    same = "decay.high_volatility=1.0 decay.low_volatility=1.0 temporal.max_lookback_days=20"
    raw = built(bars, same)[0].filter(pl.col("session") >= session(20)).sort("symbol", "session")
    found = built(bars, f"{same} events.min_names=5")[0].filter(pl.col("session") == session(T))
    half_life = getattr(forecast_settings().decay.half_life_days, FAMILY["reversal_3d"])
    means = [
        pd.Series(group["reversal_3d"].to_numpy(), dtype=float).ewm(halflife=half_life).mean().iloc[T - 20]
        for _, group in raw.group_by("symbol", maintain_order=True)
    ]
    expected = (rankdata(means) - 0.5) / NAMES - 0.5
    np.testing.assert_allclose(found.sort("symbol")["reversal_3d_decayed"], expected, atol=1e-6)


KEPT = pl.col("symbol").is_in(["SPX", "N0", "N1", "N2"])


def test_sessions_without_prices_to_enter_at_stop_the_build_with_the_counts(bars):
    """Every second session from T + 1 on has bars of three names; the others can then not be bought the day before."""
    odd = pl.col("session").is_in(days(SESSIONS)[T + 1 :: 2].to_list())
    with pytest.raises(BadData) as caught:
        built(bars.filter(KEPT | ~odd), "events.min_names=2")
    rows = 8 * (T - 252) + 8 * 35 + 3 * 35  # those before T, the whole sessions, the thin ones
    lost = 5 * 35  # of each whole session from T on: five names without a price in the next
    assert "at least 70% of the rows with enough history must become events" in str(caught.value)
    assert f"but {rows - lost} of {rows} do (61%)" in str(caught.value)
    assert f"{lost} have no price in the next session" in str(caught.value)


def test_sessions_of_too_few_names_stop_the_build_with_the_counts(bars):
    """Three names are left from session 268 on, sixteen sessions after the first with a year of history."""
    with pytest.raises(BadData) as caught:
        built(bars.filter(KEPT | (pl.col("session") < session(268))))
    kept, thin = 8 * 15, 3 * (SESSIONS - 267)  # at 267 three of the eight can be bought
    assert f"but {kept} of {kept + thin + 5} do (38%)" in str(caught.value)
    assert f"{thin} are in {SESSIONS - 267} sessions of fewer than 5 names that can be bought" in str(caught.value)
    assert f"(`events.min_names`, {session(267)} to {session(SESSIONS - 1)})" in str(caught.value)
    assert "5 have no price in the next session" in str(caught.value)


def test_an_update_by_one_session_of_three_names_goes_on_and_says_what_was_left_out(bars, caplog):
    newest = session(SESSIONS - 1)
    few, wanted = bars.filter(KEPT | (pl.col("session") < newest)), {f"N{i}": [newest] for i in range(3)}
    with caplog.at_level(logging.WARNING, logger="bq"):
        events, refused = built(few, wanted=wanted)
    assert events.is_empty() and set(refused["reason"]) == {"fewer than 5 names in the session"}
    assert "no event was built: fewer than 5 names in the session: 3 rows of 3 symbols" in caplog.text


def test_the_schedule_of_a_day_does_not_depend_on_later_bars(bars):
    settings = forecast_settings("events.every_sessions=3")
    early = FORECAST.table.schedule(market_of(bars.filter(pl.col("session") <= session(200))), settings)
    late = FORECAST.table.schedule(market_of(bars), settings)
    assert {symbol: [day for day in found if day <= session(200)] for symbol, found in late.items()} == early
    assert len(late["N0"]) == pytest.approx(SESSIONS / 3, abs=1)


def test_the_store_labels_each_session_by_what_a_return_holds_of_its_own_and_extends_to_the_same_events(bars):
    settings = forecast_settings()
    first = store.collect(FORECAST, settings, market_of(bars.filter(pl.col("session") <= session(300))))
    extended = store.collect(FORECAST, settings, market_of(bars))
    assert first.events["label"].null_count() == 10 * NAMES
    whole = built(bars)[0]
    shared = [name for name in whole.columns if name != "source"]
    assert extended.events.sort("session", "symbol").select(shared).equals(whole.select(shared), null_equal=True)
    day = extended.events.filter(pl.col("session") == session(T))
    beta, volatility = (day[name].cast(pl.Float64).to_numpy() for name in ("market_beta_60", "volatility_60"))
    outcome = day["outcome"].to_numpy()
    residual = (outcome - np.polyval(np.polyfit(beta, outcome, 1), beta)) / np.fmax(
        volatility, np.median(volatility) / 2
    )
    standing = (residual - residual.mean()) / residual.std(ddof=1)
    np.testing.assert_allclose(day["label"], standing.clip(-3, 3), atol=1e-9)


def test_real_stocks_give_events_for_every_session_and_name(bundled):
    recent = bundled.bars.filter(pl.col("session") >= dt.date(2015, 1, 2), pl.col("symbol") != "IXIC")
    settings = forecast_settings()
    market = market_of(recent)
    events, refused = FORECAST.table.build(market, settings, FORECAST.table.schedule(market, settings))
    assert events["symbol"].n_unique() == 20 and set(refused["reason"]) == {"fewer than 252 sessions of history"}
    assert len(events) == 20 * (recent["session"].n_unique() - 252)
    assert (events["market_beta_60"].mean() > 0.7) and (events["market_beta_60"].mean() < 1.4)
