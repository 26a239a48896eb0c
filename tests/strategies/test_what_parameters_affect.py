"""A section says what depends on it: the stored events, the recipe, the judging or the running."""

import datetime as dt
import importlib
from typing import ClassVar, Literal, get_args

import polars as pl
import pytest
from breakout_samples import breakout_settings
from breakout_samples import market_of as breakout_market
from event_samples import butterfly_settings, market_of, walk
from forecast_samples import FORECAST, forecast_settings, panel_bars
from pydantic import ValidationError

from bq import strategies
from bq.core import params, paths
from bq.core.errors import BadParameters
from bq.core.section import NOTHING, Affects, Section, affected, part, section_of
from bq.core.settings import Settings
from bq.serving import candidate
from bq.strategies import breakout, event_set

MODULES = {
    "breakout": "bq.strategies.breakout.build",
    "butterfly": "bq.strategies.butterfly",
    "forecast": "bq.strategies.forecast.build",
}
VARIANT = {name: importlib.import_module(module).variant for name, module in MODULES.items()}


def loaded(strategy: str, overrides: str = "") -> Settings:
    """Shipped settings in which every section is there."""
    more = "learning.regimes.states=3 learning.select.features=20 market.simulation.symbols=5"
    return params.load(
        paths.parameters(strategy),
        strategies.get(strategy).settings,
        overrides=f"{more} market.simulation.sessions=700 market.labelled.holding_days=40 {overrides}",
    )


def leaves(section: Section, around=NOTHING, prefix: str = ""):
    """Dotted name and declared effect of every value."""
    for name in type(section).model_fields:
        own, value = affected(type(section), name) or around, getattr(section, name)
        if isinstance(value, Section):
            yield from leaves(value, own, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", own


def others(value):
    """Values to try in the place of one."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, 20, 30, 100]
    if isinstance(value, float):
        return [value * 0.99, value + 0.01]
    if isinstance(value, dt.date):
        return [value + dt.timedelta(days=7)]
    if isinstance(value, list):
        shorter, nested = value[:-1], [value[0]] if value else ["elastic_net"]
        moved = [] if any(isinstance(own, str | list | dict) for own in value) else [[own * 1.01 for own in value]]
        whole = [] if any(not isinstance(own, int) for own in value) else [[own + 1 for own in value]]
        return [shorter, nested, [*value, *nested], *moved, *whole, [1, 2, 5]]
    if isinstance(value, dict):
        return [{"lightgbm": {"num_leaves": 3}}, {"lightgbm": [0.1]}, {"A": "x"}]
    return ["24/7", "xgboost", 400, 0.5, [4, 5, 6], ["A"], dt.date(2020, 1, 6)]


def changed(settings: Settings, name: str) -> Settings | None:
    """The settings with another value of that name; None where none is known that holds."""
    *sections, last = name.split(".")
    whole, kind = settings.model_dump(), type(settings)
    node = whole
    for key in sections:
        node, kind = node[key], section_of(kind, key)
    choices = [
        c
        for a in (kind.model_fields[last].annotation, *get_args(kind.model_fields[last].annotation))
        for c in get_args(a)
    ]
    old = node[last]
    for value in [*(own for own in choices if isinstance(own, str | int)), *others(old)]:
        node[last] = value
        try:
            found = type(settings).model_validate(whole)
        except (ValidationError, BadParameters):
            continue
        if found != settings:
            return found
    return None


ALL = [(strategy, name, said) for strategy in sorted(strategies.MODULES) for name, said in leaves(loaded(strategy))]
FIXED = {"strategy"}


@pytest.mark.parametrize(("strategy", "name", "said"), ALL, ids=[f"{own[0]}-{own[1]}" for own in ALL])
def test_a_value_changes_the_store_and_the_recipe_where_it_says_so_and_nowhere_else(strategy, name, said):
    before, of = loaded(strategy), strategies.get(strategy)
    after = changed(before, name)
    if after is None:
        assert name in FIXED
        return
    assert (event_set.folder_of(of, before) != event_set.folder_of(of, after)) == (Affects.EVENTS in said)
    assert (candidate.recipe_digest(before, {}) != candidate.recipe_digest(after, {})) == (Affects.RECIPE in said)
    if VARIANT[strategy](before) != VARIANT[strategy](after):
        assert Affects.EVENTS in said, "the ids of events depend on it"


@pytest.mark.parametrize(
    ("strategy", "override", "events", "recipe"),
    [
        ("forecast", "production.min_sharpe=2.0", False, False),
        ("forecast", "portfolio.cost_bps=9.0", False, True),
        ("forecast", "temporal.cv_gap_days=20", False, True),
        ("forecast", "temporal.prediction_horizon_days=9", True, True),
        ("forecast", "decay.half_life_days.volume=9.0", True, True),
        ("butterfly", "policy.k=3", False, True),
        ("butterfly", "policy.above=0.1", False, True),
        ("butterfly", "market.end=2018-01-31", False, False),
        ("butterfly", "market.start=2007-01-02", True, False),
        ("butterfly", "analysis.engine=reference", True, False),
        ("butterfly", "label.take_profit=null", True, True),
        ("butterfly", "learning.compare=[]", False, False),
        ("butterfly", "learning.stack.inner_folds=4", False, True),
        ("butterfly", "name=us", False, False),
        ("breakout", "ml.enabled=true", False, False),
        ("breakout", "exit.exit_ma=20", True, True),
        ("breakout", "run.run_timeout_seconds=60", False, False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_built_again_and_what_is_another_recipe(strategy, override, events, recipe):
    of, (before, after) = strategies.get(strategy), (loaded(strategy), loaded(strategy, override))
    assert (event_set.folder_of(of, before) != event_set.folder_of(of, after)) is events
    assert (candidate.recipe_digest(before, {}) != candidate.recipe_digest(after, {})) is recipe


def unread(settings: Settings) -> Settings:
    """The settings, in which every section that affects no event cannot be read."""

    class Unreadable:
        def __getattr__(self, name):
            raise AssertionError(f"a builder of events reads `{name}` of a section that affects none")

    sections = [name for name in type(settings).model_fields if isinstance(getattr(settings, name), Section)]
    apart = {name for name in sections if name not in part(settings, Affects.EVENTS)}
    assert {"gate", "tuning", "run", "learning"} <= apart
    asked = {"ml", "ml_data_collection"}  # by a backtest, of which events are what no model had a say in
    return settings.model_copy(update=dict.fromkeys(apart - asked, Unreadable()))


def test_no_builder_of_events_reads_what_affects_none():
    bars = panel_bars()
    built = FORECAST.table.build(market_of(bars), unread(forecast_settings()), {"N0": [bars["session"][300]]})
    assert len(built.events)
    plan = unread(butterfly_settings("events.first=2016-06-01"))
    market, of = market_of(walk("ONE", 600, seed=1)), strategies.get("butterfly")
    assert len(of.table.build(market, plan, {"ONE": of.table.schedule(market, plan)["ONE"][-3:-2]}).events)
    frames = {
        "A": walk("A", 300, seed=1)
        .drop("symbol")
        .with_columns(**dict.fromkeys(("open", "high", "low"), pl.col("close")))
    }
    rules, market = unread(breakout_settings()), breakout_market(frames)
    breakout.STRATEGY.table.build(market, rules, breakout.STRATEGY.table.schedule(market, rules) or {"A": []})


def test_a_section_that_does_not_say_what_it_affects_is_no_part_of_settings():
    class Silent(Section):
        value: int = 1

    with pytest.raises(TypeError, match="Silent must say what `silent` affects"):

        class _Incomplete(Settings):
            strategy: Literal["x"]
            silent: Silent = Silent()

    with pytest.raises(TypeError, match="must say what `count` affects"):

        class _Loose(Settings):
            strategy: Literal["x"]
            count: int = 1

    class Open(Section):
        affects: ClassVar = Affects.RUNNING
        value: int = 1

    class _Complete(Settings):
        strategy: Literal["x"]
        open: Open = Open()
