"""What is known of an event at t0 depends on nothing after t0."""

import itertools

import numpy as np
import polars as pl
import pytest
from event_samples import BUTTERFLY, LATER, build, butterfly_settings, market_of, until, walk

from bq.core.parallel import parallel_map
from bq.strategies import butterfly

SAMPLED = {"SPX": 6, "AAPL": 4, "KO": 3, "IXIC": 4, "GE": 2, "SPLIT": 4}  # events a symbol


@pytest.fixture(scope="module")
def bars(bundled):
    """Bundled bars, with quoted prices and VIX for SPX, and a stock that split twice."""
    split = walk("SPLIT", 1000, seed=3, splits={600: 2.0, 850: 1 / 7})
    return pl.concat([bundled.bars.filter(pl.col("symbol").is_in(list(SAMPLED))), split])


@pytest.fixture(scope="module")
def events(bars):
    """Events drawn at random from the shipped schedule, built on the whole history."""
    settings = butterfly_settings()
    schedule = BUTTERFLY.table.schedule(market_of(bars), settings)
    rng = np.random.default_rng(20)
    wanted = {}
    for symbol, count in SAMPLED.items():
        possible = schedule[symbol][-90:] if symbol == "SPLIT" else schedule[symbol]
        wanted[symbol] = sorted(rng.choice(np.array(possible), count, replace=False).tolist())
    wanted["SPX"].append(schedule["SPX"][300])  # a session with a quoted VIX
    built = build(bars, {symbol: sorted(set(days)) for symbol, days in wanted.items()})
    assert len(built.events) >= 15
    return built.events


def known_at_t0(events: pl.DataFrame) -> pl.DataFrame:
    return events.select(name for name in events.columns if name not in LATER)


def rebuilt(bars: pl.DataFrame, event: dict) -> dict:
    again = known_at_t0(build(bars, {event["symbol"]: [event["session"]]}).events)
    assert len(again) == 1
    return again.row(0, named=True)


def of_symbol(bars: pl.DataFrame, event: dict) -> pl.DataFrame:
    return bars.filter(pl.col("symbol") == event["symbol"])


def same(one: dict, other: dict) -> dict:
    """The columns that differ."""
    return {name: (one[name], other[name]) for name in one if repr(one[name]) != repr(other[name])}  # NaN is NaN


def test_the_sample_covers_what_events_are_made_of(events):
    assert set(events["structure"]) == {"CALL", "PUT", "IRON"}
    assert set(events["symbol"]) == set(SAMPLED)


def test_nothing_known_at_t0_changes_when_later_bars_are_removed(bars, events):
    for event in known_at_t0(events).iter_rows(named=True):
        assert same(event, rebuilt(until(of_symbol(bars, event), event["session"]), event)) == {}


def test_nothing_known_at_t0_changes_when_all_later_bars_are_garbage(bars, events):
    rng = np.random.default_rng(5)
    later = pl.col("session") > pl.col("t0_session")
    for event in known_at_t0(events).iter_rows(named=True):
        own = of_symbol(bars, event).with_columns(t0_session=pl.lit(event["session"]))
        factor = pl.Series("factor", np.exp(rng.normal(0, 3, len(own))))
        garbage = own.with_columns(
            *[pl.when(later).then(pl.col(name) * factor).otherwise(name) for name in ("close", "volume", "adj", "iv")]
        )
        assert not garbage["close"].equals(own["close"])
        assert same(event, rebuilt(garbage, event)) == {}


def test_nothing_known_at_t0_changes_with_other_symbols_in_the_market(bars, events):
    wanted = {"SPX": events.filter(pl.col("symbol") == "SPX")["session"].to_list()}
    alone = build(bars.filter(pl.col("symbol") == "SPX"), wanted).events
    assert known_at_t0(alone).equals(known_at_t0(events.filter(pl.col("symbol") == "SPX")), null_equal=True)


@pytest.mark.parametrize("batch", [1, 5, 100], ids=["each symbol alone", "some together", "all together"])
def test_two_processes_build_what_one_builds(bars, events, monkeypatch, batch):
    wanted = {symbol: group["session"].to_list() for (symbol,), group in events.group_by("symbol")}
    handed = []

    def counted(function, items, **named):
        handed.append(len(items))
        return parallel_map(function, items, **named)

    for name, value in {"FEW": 0, "BATCH": batch, "parallel_map": counted}.items():
        monkeypatch.setattr(butterfly, name, value)
    monkeypatch.setenv("BQ_WORKERS", "2")
    assert build(bars, wanted).events.equals(events, null_equal=True)
    assert handed == [{1: 6, 5: 3, 100: 1}[batch]]


@pytest.mark.parametrize("factor", [0.5, 1 / 3, 7.0], ids=["half", "third", "seven"])
def test_a_later_split_that_rebases_all_adjustments_changes_nothing(bars, events, factor):
    based = bars.with_columns(pl.col("adj") * factor)
    wanted = {symbol: group["session"].to_list() for (symbol,), group in events.group_by("symbol")}
    again = build(based, wanted).events
    assert again["event_id"].to_list() == events["event_id"].to_list()
    for name in events.columns:
        if events[name].dtype.is_float():
            np.testing.assert_allclose(
                again[name].to_numpy(), events[name].to_numpy(), rtol=1e-9, atol=1e-12, err_msg=name
            )
        else:
            assert again[name].equals(events[name], null_equal=True), name


def test_splits_leave_no_trace_in_returns_and_show_in_strikes(bars):
    """The same stock unsplit: all that is relative is the same, strikes follow the price as quoted."""
    split = bars.filter(pl.col("symbol") == "SPLIT")
    plain = split.with_columns(close=pl.col("close") * pl.col("adj") / split["adj"][0], adj=pl.lit(1.0))
    wanted = {"SPLIT": [split["session"][690]]}
    one, other = (build(frame, wanted).events.row(0, named=True) for frame in (split, plain))
    assert other["spot"] == pytest.approx(2 * one["spot"])
    relative = ("trend_slope", "dominant_period_days", "predicted_vol", "current_iv", "iv_percentile", "momentum_7d")
    assert [one[name] for name in relative] == pytest.approx([other[name] for name in relative], rel=1e-9)


def test_events_know_their_market(bundled, simulated):
    for market, source in ((bundled, "modelled"), (simulated, "simulated")):
        symbol = market.bars["symbol"][0]
        day = market.bars.filter(pl.col("symbol") == symbol)["session"][690]
        assert set(BUTTERFLY.table.build(market, butterfly_settings(), {symbol: [day]}).events["source"]) == {source}


def test_the_schedule_does_not_change_as_bars_arrive(bundled):
    settings = butterfly_settings("market.symbols=[KO] events.every_weeks=3")
    whole = BUTTERFLY.table.schedule(market_of(bundled.bars.filter(pl.col("symbol") == "KO")), settings)["KO"]
    for cut in whole[100:110]:
        cut_off = BUTTERFLY.table.schedule(
            market_of(until(bundled.bars.filter(pl.col("symbol") == "KO"), cut)), settings
        )
        assert cut_off["KO"] == [day for day in whole if day <= cut]


def test_the_schedule_is_the_last_session_of_every_nth_week(bundled):
    one, three = (
        BUTTERFLY.table.schedule(bundled, butterfly_settings(f"events.every_weeks={n}"))["SPX"] for n in (1, 3)
    )
    weeks = [day.isocalendar()[:2] for day in one]
    assert len(set(weeks)) == len(weeks)
    sessions = set(bundled.bars.filter(pl.col("symbol") == "SPX")["session"])
    for day in one[:400]:
        rest = [day.fromordinal(day.toordinal() + ahead) for ahead in range(1, 7 - day.weekday())]
        assert not sessions & set(rest)
    assert {(b - a).days // 7 for a, b in itertools.pairwise(three)} <= {2, 3}
    assert set(three) < set(one)
