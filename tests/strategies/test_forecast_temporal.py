"""No label of training reaches a test block, and no configuration that would let one is accepted."""

import datetime as dt

import polars as pl
import pytest
from forecast_samples import FORECAST, forecast_settings, panel_bars, session

from bq.core import params, paths
from bq.core.errors import BadParameters, TemporalOverlap
from bq.learning.splits import purged_walk_forward


def test_a_gap_of_five_with_an_embargo_of_three_overlaps_labels_by_five_days_and_ten_is_the_smallest_that_holds():
    with pytest.raises(TemporalOverlap) as caught:
        forecast_settings("temporal.cv_gap_days=5 temporal.cv_embargo_days=3")
    says = str(caught.value)
    assert "must be >= `temporal.prediction_horizon_days` (10), but got 5" in says
    assert "labels of training events would overlap the test block by 5 days" in says
    assert "embargo of 3 stands after a test block and does not shorten the gap before it" in says
    assert "Set cv_gap_days: 10 or more" in says


@pytest.mark.parametrize("gap", [10, 15], ids="gap-{}".format)
def test_a_gap_of_the_horizon_or_more_is_accepted_and_reaches_the_splits(gap):
    settings = forecast_settings(f"temporal.cv_gap_days={gap} temporal.cv_embargo_days=3")
    assert settings.learning.gap_days >= settings.max_holding_days
    assert settings.learning.gap_days > gap and settings.learning.embargo_days > 3  # calendar days


def test_a_gap_in_calendar_days_shorter_than_the_label_is_refused_too():
    with pytest.raises(TemporalOverlap, match=r"`learning.gap_days` must be >= the longest label"):
        forecast_settings("learning.gap_days=14")


def test_lagged_features_without_their_lags_are_refused_before_anything_is_built():
    with pytest.raises(BadParameters, match=r"`temporal.lags` must hold \[1, 2, 5\] .* but lacks \[2, 5\]"):
        forecast_settings("learning.features=alpha_lagged temporal.lags=[1]")
    forecast_settings("learning.features=alpha_lagged temporal.lags=[1,2,5]")


def test_no_delay_is_refused():
    with pytest.raises(BadParameters, match="the delay is always one session"):
        forecast_settings("temporal.delay_days=0")


@pytest.fixture(scope="module")
def events():
    from forecast_samples import built

    return built(panel_bars(sessions=700))[0]


def test_ten_sessions_between_training_and_test_are_the_fewest_that_keep_labels_apart(events):
    """Sessions between the last training t0 and the test's first; intervals are closed, touching counts."""
    first = {number: events.filter(pl.col("session") == session(number)) for number in (300, 310, 311)}
    label_ends = first[300]["t1_due"].max()
    assert label_ends == first[310]["t0"].min()  # nine between: the label ends where the test begins
    assert label_ends < first[311]["t0"].min()  # ten between


@pytest.mark.parametrize("gap", [10, 30], ids="gap-{}".format)
def test_every_training_label_ends_before_its_test_block(events, gap):
    settings = forecast_settings(f"temporal.cv_gap_days={gap} learning.folds=3 learning.test_days=120")
    matured = events.filter(pl.col("outcome").is_not_null())
    sessions = matured["session"].unique().sort()
    for fold in purged_walk_forward(matured, settings.learning):
        train, test = matured[fold.train], matured[fold.test]
        assert train["t1_due"].max() < test["t0"].min()
        between = sessions.filter((sessions > train["session"].max()) & (sessions < test["session"].min()))
        assert len(between) >= gap


def test_longest_label_is_counted_over_closures_of_the_exchange():
    """Ten sessions from 29 August 2001 ended on 18 September; from 4 September on the 24th."""
    settings = params.load(paths.parameters("forecast"), FORECAST.settings)
    assert settings.max_holding_days >= (dt.date(2001, 9, 24) - dt.date(2001, 9, 4)).days
