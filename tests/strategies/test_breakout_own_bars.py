"""Breakouts on bars that a user brings: no index among them, no volume, dates of their own."""

import numpy as np
import polars as pl
import pytest
from breakout_samples import breakout_settings, market_of, random_market

from bq import market, strategies
from bq.jobs import request
from bq.strategies import breakout
from bq.strategies.breakout.backtest import signals
from bq.strategies.breakout.prepare import prepare
from bq.strategies.breakout.settings import Universe

TABLE = strategies.get("breakout").table


@pytest.fixture(scope="module")
def bars():
    return random_market(5).bars


def market_with(bars, **more):
    frames = {symbol: frame.drop("symbol") for (symbol,), frame in bars.group_by("symbol")}
    return market_of({**frames, **more})


def built(data, settings):
    return TABLE.build(data, settings, TABLE.schedule(data, settings)).events.sort("session", "symbol")


def test_without_the_index_the_mean_of_all_that_is_traded_is_the_benchmark_and_said(bars):
    data = market_with(bars)
    named, mean = (breakout_settings(universe={"benchmark": name}) for name in ("SPX", None))
    levels = [prepare(data, settings.universe) for settings in (named, mean)]
    np.testing.assert_array_equal(levels[0].benchmark, levels[1].benchmark)
    events = built(data, named)
    assert events["benchmark"].null_count() == len(events)
    (said,) = breakout.notices(events, named)
    assert said.startswith("benchmark SPX has no bars here: the benchmark is the mean return")
    assert breakout.notices(built(data, mean), mean) == []


def test_with_the_index_it_is_the_benchmark(bars):
    index = bars.filter(symbol="S5").drop("symbol")
    settings = breakout_settings(universe={"benchmark": "SPX"})
    events = built(market_with(bars, SPX=index), settings)
    assert events["benchmark"].unique().to_list() == ["SPX"] and breakout.notices(events, settings) == []


def test_levels_by_their_name_are_never_traded(bars):
    index = bars.filter(symbol="S5").drop("symbol")
    prepared = prepare(market_with(bars, **{"^GSPC": index}), Universe())
    assert "^GSPC" not in prepared.symbols and "S5" in prepared.symbols


def test_without_volume_breakouts_are_those_of_a_market_where_every_order_is_small(bars):
    """Volume limits nothing where there is none: as where there is so much that an order is nothing beside it."""
    settings = breakout_settings()
    deep = built(market_with(bars.with_columns(volume=pl.lit(1e13))), settings)
    bare = built(market_with(bars.with_columns(volume=pl.lit(None, pl.Float64))), settings)
    assert len(bare) > 100 and bare["volume_ratio"].fill_nan(None).null_count() == len(bare)
    other = [name for name in bare.columns if name != "volume_ratio"]
    for name in other:
        if bare[name].dtype.is_float():
            np.testing.assert_allclose(bare[name], deep[name], rtol=1e-6, err_msg=name)
        else:
            assert bare[name].equals(deep[name]), name


def test_what_is_missing_for_lack_of_volume_is_said_with_the_names(bars):
    none = pl.when(pl.col("symbol").is_in(["S1", "S3"])).then(None).otherwise("volume")
    events = built(market_with(bars.with_columns(volume=none)), breakout_settings())
    total = events["symbol"].n_unique()
    (said,) = breakout.notices(events, breakout_settings())
    assert said.startswith(f"2 of {total} symbols have no volume (S1, S3): their feature volume_ratio is missing")


def test_liquidity_is_unknown_until_the_first_volume_and_never_again(bars):
    days = bars["session"].unique().sort()
    late = pl.when(pl.col("session") >= days[200]).then("volume")
    gone = pl.when(pl.col("session") < days[300]).then("volume")
    unlimited = Universe(benchmark=None)
    first, last = (
        prepare(market_with(bars.with_columns(volume=volume)), unlimited).measures for volume in (late, gone)
    )
    assert not np.isfinite(first.dollars[:200]).any() and np.isfinite(first.dollars[200:, 0]).any()
    late_bars = last.dollars[380:][last.present[380:]]
    assert len(late_bars) > 100 and (late_bars == 0.0).all()  # no volume any more is none, not unknown


def test_volume_known_later_changes_no_earlier_signal(bars):
    days = bars["session"].unique().sort()
    settings = breakout_settings()
    until = bars.filter(pl.col("session") < days[250]).with_columns(volume=pl.lit(None, pl.Float64))
    whole = pl.concat([until, bars.filter(pl.col("session") >= days[250])])
    early, all_ = (signals(prepare(market_with(frame), settings.universe), settings) for frame in (until, whole))
    before = all_.session < 250
    np.testing.assert_array_equal(early.session, all_.session[before])
    np.testing.assert_array_equal(early.symbol, all_.symbol[before])


@pytest.fixture
def own(tmp_path, monkeypatch, bars):
    """A home with a file for each symbol, and the README's command."""
    folder = tmp_path / "data" / "raw" / "bars"
    folder.mkdir(parents=True)
    for (symbol,), frame in bars.group_by("symbol"):
        frame.select("session", "open", "high", "low", "close", "volume").write_csv(folder / f"{symbol}.csv")
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    for name, value in {"STRATEGY": "breakout", "SET": "market.source=files market.max_quarantine_share=1"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_own_files_are_read_whole_whatever_the_dates_of_the_bundled_data(own, bars):
    settings = request.read().settings
    read = market.load(settings.market).bars
    assert (read["session"].min(), read["session"].max()) == (bars["session"].min(), bars["session"].max())
    assert settings.market.start is None and settings.market.end is None


def test_some_symbols_of_own_files_need_no_index_among_them(own):
    own.setenv("SYMBOLS", "S1,S2")
    settings = request.read().settings
    assert market.load(settings.market).bars["symbol"].unique().sort().to_list() == ["S1", "S2"]


def test_some_symbols_of_own_files_come_with_the_index_that_is_among_them(own):
    for name, value in {"SYMBOLS": "S1", "SET": "market.source=files universe.benchmark=S2"}.items():
        own.setenv(name, value)
    data = market.load(request.read().settings.market)
    assert data.bars["symbol"].unique().sort().to_list() == ["S1", "S2"]
    own.setenv("SYMBOLS", "S1,S99")
    with pytest.raises(Exception, match="'S99' has none"):
        market.load(request.read().settings.market)
