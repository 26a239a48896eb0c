"""Every row that is lost between bars and training has a reason."""

import polars as pl
import pytest
from event_samples import days, market_of
from forecast_samples import FORECAST, SESSIONS, built, forecast_settings, panel_bars, session, without

from bq.strategies.events import Built
from bq.strategies.forecast.alignment import alignment, coverage, explained
from bq.strategies.forecast.evidence import exhibits
from bq.strategies.forecast.features import FACTORS


@pytest.fixture(scope="module")
def one_name():
    """A thousand sessions, of which 748 have a year of history."""
    bars = panel_bars(sessions=1000, names=5)
    wanted = {"N0": FORECAST.table.schedule(market_of(bars), forecast_settings())["N0"]}
    return built(bars, wanted=wanted)


def test_738_rows_beside_748_are_the_ten_whose_outcome_is_not_due(one_name):
    table = alignment(1000, *one_name)
    assert table["rows"].to_list() == [1000, 748, 748, 738]
    assert table["left_out"].to_list() == [0, 252, 0, 10]
    assert table["why"][3] == f"outcome not due yet: 10 rows of N0, {session(990)} to {session(999)}"
    assert table["why"][1].startswith("fewer than 252 sessions of history: 252 rows of N0")
    assert table["coverage"][3] == pytest.approx(738 / 748)


def test_rows_of_every_stage_and_what_was_left_out_add_up(one_name):
    events, refused = one_name
    table = alignment(len(events) + len(refused), events, refused)
    assert (table["rows"] + table["left_out"])[1:].equals(table["rows"][:-1])


def test_reasons_are_told_apart_largest_first():
    rows = pl.DataFrame(
        {"symbol": ["A", "B", "B"], "session": [session(0), session(1), session(2)], "reason": ["x", "y", "y"]}
    )
    assert (
        explained(rows) == f"y: 2 rows of B, {session(1)} to {session(2)}; x: 1 rows of A, {session(0)} to {session(0)}"
    )
    assert explained(rows.clear()) == ""


def test_coverage_of_factors_names_the_absent_first(one_name):
    events = one_name[0].with_columns(amihud_20=pl.lit(float("nan")))
    found = coverage(events, FACTORS)
    assert found.row(0) == ("amihud_20", 0.0, None)
    assert found.filter(pl.col("factor") == "momentum_252").row(0) == ("momentum_252", 1.0, session(252))


def test_outcomes_of_a_delisted_name_are_counted_with_the_age_of_their_price():
    """N3 has no bar from session 265 on: events of 255 to 263 end at the price of 264, which is up to nine older."""
    gone, refused = built(without(panel_bars(), "N3", days(SESSIONS)[265:].to_list()))
    (shown,) = [one for one in exhibits(Built(gone, refused)) if one.title == "Outcomes at a stale price"]
    (row,) = shown.table.to_dicts()
    older = gone.filter(pl.col("symbol") == "N3", pl.col("session") >= session(255))
    assert (row["at_an_older_price"], row["symbols"], row["oldest_sessions"]) == (9, 1, 9)
    assert row["outcomes"] == gone["outcome"].count() and row["mean_outcome"] == pytest.approx(older["outcome"].mean())
