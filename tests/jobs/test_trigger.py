"""Why a retrain ran, the events it counts, and the sentences for too few of them."""

import datetime as dt
import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "learning"))  # the toy strategy is the same one

from toy_strategy import TOY, toy_settings

from bq import runs
from bq.core.errors import BadData
from bq.jobs import collect, trigger
from bq.jobs.request import Request
from bq.learning import walkforward
from bq.runs.record import Cause, Trigger
from bq.serving import registry
from bq.strategies.store import Collection
from tests import stored

FIRST = dt.datetime(2020, 1, 1, 21, tzinfo=dt.UTC)


def events(count: int, *, open_ones: int = 0, variant: str = "toy-1") -> pl.DataFrame:
    """One event a day that takes five, of two symbols in turn; every third is a shadow; the newest are open."""
    t0 = [FIRST + dt.timedelta(days=i) for i in range(count)]
    closed = [i < count - open_ones for i in range(count)]
    return pl.DataFrame(
        {
            "event_id": [f"{variant}-{i}" for i in range(count)],
            "symbol": ["A" if i % 2 else "B" for i in range(count)],
            "variant": variant,
            "session": [day.date() for day in t0],
            "t0": t0,
            "t1": [day + dt.timedelta(days=5) if known else None for day, known in zip(t0, closed, strict=True)],
            "t1_due": [day + dt.timedelta(days=5) for day in t0],
            "taken": [i % 3 != 0 for i in range(count)],
            "source": "simulated",
            "outcome": [0.1 if known else None for known in closed],
            "label": [1 if known else None for known in closed],
        }
    )


@pytest.fixture
def ask(monkeypatch):
    """The triggers of an attempt: what the last one recorded, what the champion is, what came."""

    def held(last, *, now, champion=None, forced=False, **info):
        made = [runs.Run(None, stored.run_record(**last))] if last else []
        monkeypatch.setattr(runs, "every", lambda namespace, job: made)
        monkeypatch.setattr(registry, "champion", lambda namespace: champion)
        nothing = dict.fromkeys(Request._fields)
        asked = Request(**{**nothing, "strategy": TOY, "settings": toy_settings(), "force": forced})
        return trigger.held(asked, stored.run_record(**{"data_hash": "d1", "parameters": {}, **info}), now)

    return held


def attempt(known: pl.DataFrame, **more):
    return {"known": trigger.known(known), "data_hash": "d1", "parameters": {}, **more}


def deployed(*, schema=None, through="2020-01-01T00:00:00+00:00"):
    schema = schema or TOY.features(toy_settings()).schema_hash
    return stored.artefact(schema_hash=schema, trained_through=through)


def kinds(triggers):
    return [trigger.kind for trigger in triggers if trigger.holds]


def test_without_an_earlier_attempt_it_is_the_first(ask):
    assert kinds(ask(None, now=events(100))) == [Cause.FIRST_ATTEMPT]
    assert kinds(ask(None, now=events(100), forced=True)) == [Cause.FORCED, Cause.FIRST_ATTEMPT]


@pytest.mark.parametrize(("more", "enough"), [(499, False), (500, True)], ids=["499", "500"])
def test_matured_events_that_the_last_attempt_did_not_know_are_counted(ask, more, enough):
    (found,) = ask(attempt(events(100)), now=events(100 + more), champion=deployed(through="2021-01-01T00:00:00+00:00"))
    assert (found.kind, found.value, found.threshold, found.holds) == (Cause.EVENTS, more, 500, enough)
    short = "" if enough else " (500 alone would trigger a retrain)"
    assert found.text == f"{more} new matured events since the last attempt{short}"


def test_events_of_other_rules_are_all_new(ask):
    *_, found = ask(attempt(events(100)), now=events(100, variant="toy-2"))
    assert (found.kind, found.value) == (Cause.EVENTS, 100)


def test_what_differs_is_named_and_forcing_is_said(ask):
    found = ask(attempt(events(100)), now=events(100), forced=True, data_hash="d2", parameters={"a": 1})
    assert kinds(found) == [Cause.FORCED, Cause.NO_CHAMPION, Cause.DATA, Cause.PARAMETERS]
    assert stored.run_record(triggers=found).why == (
        "forced; no champion; 0 new matured events since the last attempt (500 alone would trigger a retrain); "
        "other data; other parameters"
    )


def test_a_champion_of_another_schema_or_of_great_age_is_a_trigger(ask):
    now, last = events(100), attempt(events(100))
    assert kinds(ask(last, now=now, champion=deployed(schema="other"))) == [Cause.SCHEMA]
    old, _ = ask(last, now=now, champion=deployed(through="2010-01-01T00:00:00+00:00"))
    assert (old.kind, old.value, old.text) == (Cause.AGE, 3751, "the champion's training ended 3751 days ago")
    assert kinds(ask(last, now=now, champion=deployed())) == []


def test_every_trigger_has_words():
    for kind in Cause:
        assert kind == Cause.UNKNOWN or trigger.told(Trigger(kind=kind, value=1, threshold=2))


def test_collecting_counts_events_by_symbol_and_says_what_is_missing_to_train():
    found = events(40, open_ones=4)
    table = {row["symbol"]: row for row in collect.by_symbol(found).iter_rows(named=True)}
    assert table["A"]["events"] == table["B"]["events"] == 20
    assert sum(row["matured"] for row in table.values()) == 36
    assert sum(row["taken"] for row in table.values()) == found["taken"].sum()
    refused = pl.DataFrame({"symbol": ["A"], "session": [dt.date(2020, 1, 1)], "reason": ["closed"]})
    said = collect.describe(Collection(found, refused, "", 40), TOY, toy_settings())
    assert "40 events of 2 symbols · 2020-01-01 to 2020-02-09" in said
    assert f"matured     36 by {found['t1'].max():%Y-%m-%d}; Insufficient samples: 36 < 50" in said
    assert "refused     1 date gave no event\n              1 closed\n" in said


def test_collecting_counts_what_training_takes_where_trades_closed_before_they_were_due():
    early = events(80, open_ones=8).with_columns(pl.col("t1") - dt.timedelta(days=4))  # all closed after a day
    ripe = walkforward.matured_events(early, TOY.task(toy_settings()))
    assert early["outcome"].count() == 72
    assert collect.by_symbol(early)["matured"].sum() == len(ripe) == 68  # not yet due when the newest closed: 4


def test_a_store_of_fewer_than_fifty_labelled_events_is_refused_with_what_to_do():
    with pytest.raises(BadData, match=r"^Insufficient samples: 36 < 50 labelled events .*40 in all.* `make collect`"):
        walkforward.check(events(40, open_ones=4), TOY, toy_settings())
