"""What is computed from bars is computed again on shorter histories, and in another unit of price."""

import dataclasses

import numpy as np
import planted_leaks
import polars as pl
import pytest
from planted_leaks import CLEAN, CLOSE, VOLUME
from reversal_strategy import TABLE, TASK, ReversalSettings

from bq.audit import leaks, truncation
from bq.audit.cut import cut
from bq.core.errors import BadData
from bq.core.settings import Gate, Learning, Market
from bq.strategies import registered, store
from bq.strategies.component import Accusation, Note
from bq.strategies.contract import Strategy, Table
from bq.strategies.events import Built, FeatureSet
from bq.strategies.registered import Registered


@pytest.fixture(scope="module")
def data():
    return planted_leaks.market_of(3)


@pytest.fixture(scope="module")
def bars(data):
    return registered.inputs(data)


def checked(function, bars, *needs, across=False, cuts=4):
    return truncation.of_function(Registered("mine.a", function, needs or ("close",), across), bars, cuts=cuts, seed=1)


LATER = {
    "the next close": (CLOSE.shift(-1) / CLOSE - 1,),
    "a close far ahead": (CLOSE.shift(-60) / CLOSE - 1,),
    "the last close": (CLOSE / CLOSE.last(),),
    "a mean of the whole sample": (CLOSE.pct_change() - CLOSE.pct_change().mean(),),
    "a rank in the whole sample": (CLOSE.pct_change().rank(),),
    "filled from behind at the start": ((CLOSE / CLOSE.rolling_mean(20)).fill_null(strategy="backward"),),
    "filled from behind in gaps": (VOLUME.fill_null(strategy="backward") / VOLUME.rolling_max(50, min_samples=1),),
    "interpolated": (VOLUME.interpolate() / VOLUME.rolling_max(50, min_samples=1),),
    "a filter run both ways": (lambda bars: both_ways(bars["close"].log().to_numpy()),),
}


def both_ways(values):
    once = pl.Series(values).ewm_mean(span=10).to_numpy()
    return pl.Series(once[::-1]).ewm_mean(span=10).to_numpy()[::-1] - values


@pytest.mark.parametrize("function", [case[0] for case in LATER.values()], ids=LATER)
def test_what_uses_later_bars_changes(function, bars):
    found = checked(function, bars, "close", "volume")
    assert found.later.changed > 0 and found.of_bars


RARE = {
    "one missing volume, filled from behind": VOLUME.fill_null(strategy="backward") / CLOSE,
    "a first mean, taken for those before it": CLOSE / CLOSE.rolling_mean(20).fill_null(strategy="backward"),
    "a value of the newest bar alone": pl.when(CLOSE.shift(-1).is_null()).then(CLOSE / CLOSE.shift(1)),
}


@pytest.mark.parametrize("function", RARE.values(), ids=RARE)
def test_what_uses_later_bars_on_a_few_rows_changes(function, bars):
    one = bars.filter(pl.col("symbol") == "N00").with_columns(VOLUME.fill_null(strategy="forward"))
    gap = one.with_columns(volume=pl.when(pl.int_range(pl.len()) != 700).then("volume"))
    assert checked(function, gap, "close", "volume").later.changed > 0


def test_a_function_of_all_symbols_that_uses_later_bars_changes(bars):
    def ahead(given):
        return given.with_columns(x=CLOSE.shift(-5).over("symbol") / CLOSE).select(pl.col("x").mean().over("session"))[
            "x"
        ]

    assert checked(ahead, bars, across=True).later.changed > 0


@pytest.mark.parametrize("name", CLEAN)
def test_what_looks_back_does_not_change(name, bars):
    feature = CLEAN[name]
    own = Registered(f"mine.{name}", *feature)
    found = truncation.of_function(own, bars, cuts=2, seed=2)
    assert found.later.compared > 1000 and found.later.changed == found.unit.changed == 0
    assert found.of_bars is (name != "month")


@pytest.mark.parametrize(
    ("function", "changed"),
    [
        pytest.param(CLOSE.log(), True, id="level of the price"),
        pytest.param((CLOSE * VOLUME).log(), True, id="continuous price times volume"),
        pytest.param(VOLUME.log(), False, id="volume, in shares of the first bar"),
        pytest.param(pl.col("turnover").log(), False, id="turnover"),
        pytest.param(pl.col("quoted").log(), False, id="price as quoted"),
    ],
)
def test_what_depends_on_the_unit_of_price_changes_with_it(function, changed, bars):
    found = checked(function, bars, "close", "volume", "turnover", "quoted")
    assert (found.unit.changed > 0) is changed and found.later.changed == 0


def test_a_function_that_needs_a_long_history_is_said_to_fail_on_a_short_one(bars):
    def strict(given):
        return np.full(len(given), given["close"].to_numpy()[20])

    assert "raised IndexError" in checked(strict, bars).later.fault


def test_a_cut_market_knows_no_later_bar_and_only_its_unit_is_another(data):
    session = data.bars["session"].unique().sort()[700]
    bars = cut(data, session).bars
    assert bars["session"].max() == session
    kept = data.bars.filter(pl.col("session") <= session)
    assert bars.drop("adj").equals(kept.drop("adj")) and bars["adj"].equals(kept["adj"] * 2)


def settings_of(features):
    learning = Learning(features=features, model="elastic_net", folds=2, test_days=200, newest_days=90)
    return ReversalSettings(market=Market(), learning=learning, gate=Gate(draws=1000))


def of_build(build, data):
    """What the audit finds of a strategy with this one feature."""
    table = Table(build, [FeatureSet("one", ("change",))])
    strategy = Strategy("reversal", ReversalSettings, table, lambda settings: TASK)
    settings = settings_of("one")
    events = store.collect(strategy, settings, data).events
    return leaks.audit(events, data, strategy, settings, depth=leaks.BEFORE_A_GATE).lines[0]


def another(change):
    """The smallest strategy's build with another value of its feature."""

    def build(market, settings, wanted):
        rows = market.bars.sort("symbol", "session").select("symbol", "session", other=change.over("symbol"))
        built = TABLE.build(market, settings, wanted)
        events = built.events.join(rows, on=["symbol", "session"], how="left", maintain_order="left")
        return Built(events.with_columns(change="other").drop("other"), built.refused)

    return build


LEVEL = CLOSE * pl.col("adj")


@pytest.mark.parametrize(
    ("change", "accusations"),
    [
        pytest.param(LEVEL / LEVEL.shift(3), (), id="honest"),
        pytest.param(LEVEL.shift(-1) / LEVEL, (Accusation.SERVED,), id="the next close"),
        pytest.param(LEVEL, (Accusation.SERVED,), id="level of an adjusted price"),
        pytest.param(
            LEVEL.shift(-6) / LEVEL.shift(-1), (Accusation.SERVED, Accusation.LABEL, Accusation.GROUP), id="the outcome"
        ),
    ],
)
def test_a_feature_of_the_package_is_built_again_as_on_the_day(change, accusations, data):
    found = of_build(another(change), data)
    assert found.accusations == accusations and found.served.compared > 0


def test_a_day_on_which_nothing_could_be_decided_accuses_no_feature(data):
    def build(market, settings, wanted):
        if market.bars["session"].n_unique() < planted_leaks.SESSIONS:
            raise BadData("at least so many sessions must be there.")
        return TABLE.build(market, settings, wanted)

    found = of_build(build, data)
    assert (found.accusations, found.served.compared) == ((), 0)


def test_a_table_without_bars_is_held_against_its_outcomes_alone(data):
    table = Table(another(LEVEL.shift(-6) / LEVEL.shift(-1)), [FeatureSet("one", ("change",))])
    strategy = Strategy("reversal", ReversalSettings, table, lambda settings: TASK)
    events = store.collect(strategy, settings_of("one"), data).events
    bare = dataclasses.replace(data, bars=data.bars.clear())
    found = leaks.audit(events, bare, strategy, settings_of("one"), depth=leaks.WHOLE).lines[0]
    assert found.served.compared == 0 and Accusation.LABEL in found.accusations


def test_a_feature_that_does_not_vary_in_training_is_noted_and_not_accused(data):
    found = of_build(another(CLOSE * 0 + 1), data)
    assert (found.accusations, found.notes, found.constant_folds) == ((), (Note.CONSTANT,), 2)
