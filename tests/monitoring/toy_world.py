"""A toy model with its reference, its decisions of later weeks and their outcomes, in a world that one can change."""

import datetime as dt
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "learning"))  # the toy strategy is the same one

from toy_strategy import TASK, TOY, toy_events, toy_settings

from bq.core.namespace import Namespace
from bq.learning import walkforward
from bq.monitoring import outcomes, records
from bq.monitoring.records import Scan
from bq.serving import candidate, decide, registry
from bq.serving.ready import ready
from bq.serving.registry import Artefact
from bq.strategies.contract import Strategy
from bq.strategies.events import Built

TRAINED, DECIDED, SYMBOLS = 260, 90, 8  # weeks, weeks, events a week
SETTINGS = toy_settings(learning={"folds": 4, "test_days": 365})
Change = Callable[[pl.DataFrame], pl.DataFrame]


def weeks_later() -> pl.DataFrame:
    """Events after the training; the last are open."""
    return toy_events(sessions=TRAINED + DECIDED, symbols=SYMBOLS, strength=0.4).tail(DECIDED * SYMBOLS)


def train() -> Artefact:
    """The model as it is stored, with its reference."""
    events = toy_events(sessions=TRAINED, symbols=SYMBOLS, strength=0.4)
    training = walkforward.train(events, TOY, SETTINGS)
    return candidate.make(training, None, events, strategy=TOY, settings=SETTINGS).artefact


class World(NamedTuple):
    """A strategy whose decisions are recorded, and what a job is asked with."""

    strategy: Strategy
    request: SimpleNamespace
    market: SimpleNamespace
    model_id: str


def world_of(events: pl.DataFrame, model_id: str) -> World:
    """What a job is asked with where these are the events that the bars show."""

    def build(market, settings, wanted) -> Built:
        pairs = [(symbol, session) for symbol, sessions in wanted.items() for session in sessions]
        days = pl.DataFrame(pairs, schema={"symbol": pl.String, "session": pl.Date}, orient="row")
        return Built(events.drop("label", "weight").join(days, on=["symbol", "session"], how="semi"))

    strategy = replace(TOY, success=None, table=replace(TOY.table, build=build))
    request = SimpleNamespace(strategy=strategy, settings=SETTINGS)
    market = SimpleNamespace(calendar="XNYS", bars=pl.DataFrame({"session": events["session"]}))
    return World(strategy, request, market, model_id)


def decide_weekly(model: Artefact, events: pl.DataFrame) -> None:
    """Deploy the model, record its decisions on these events, one scan a week, and what came of them."""
    registry.deploy(Namespace("toy"), model, reason="test")
    predicted = decide.predict(ready(model, TOY, Namespace("toy")), events, TOY)
    classes = dict(enumerate(TASK.classes))
    decided = predicted.select(
        "event_id",
        "symbol",
        "session",
        "t0",
        "t1_due",
        "score",
        tier=pl.lit(1),
        model=pl.lit(model.model_id),
        expected="expected",
        predicted_class=pl.col("predicted").replace_strict(classes, return_dtype=pl.String),
        should_trade=True,
        in_sample=False,
        outside_support=pl.lit([], pl.List(pl.String)),
    )
    for (session,), rows in decided.group_by("session", maintain_order=True):
        at = rows["t0"][0] + dt.timedelta(minutes=1)
        ids = ("da7a", "c0de", model.model_id, None)
        records.enter(Scan(Namespace("toy"), session, at, {}, *ids, late=False), rows)
    known = events.filter(pl.col("outcome").is_not_null()).select(
        "event_id",
        t1_now="t1",
        outcome_now="outcome",
        label_now=TASK.label(pl.col("outcome")).replace_strict(classes, return_dtype=pl.String),
        source=pl.lit("bars"),
        revision=pl.lit(None, pl.Int64),
    )
    outcomes.enter(Namespace("toy"), known, data_hash="da7a")


@pytest.fixture(scope="session")
def later() -> pl.DataFrame:
    """See `weeks_later`."""
    return weeks_later()


@pytest.fixture(scope="session")
def toy_model() -> Artefact:
    """See `train`."""
    return train()


@pytest.fixture
def world(tmp_path, monkeypatch, toy_model, later) -> Callable[..., World]:
    """A home in which the toy model is deployed and has decided each week; `change` is what the later world is like."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)

    def made(change: Change = lambda events: events, *, weeks: int = DECIDED) -> World:
        events = change(later).head(weeks * SYMBOLS)
        decide_weekly(toy_model, events)
        return world_of(events, toy_model.model_id)

    return made
