"""What triggers a retrain and what does not, with distances; and the sentences for too few events."""

import datetime as dt
import sys
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "learning"))  # the toy strategy is the same one

from toy_strategy import TOY, toy_settings

from bq.core.errors import BadData
from bq.core.namespace import Namespace
from bq.jobs import collect, retrain, trigger
from bq.learning import walkforward
from bq.monitoring import kept, triggers
from bq.monitoring.checks import Check, What
from bq.monitoring.triggers import Standing, State
from bq.runs.record import Cause, Trigger
from bq.serving import ledger
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
            "score": 0.0,
            "outcome": [0.1 if known else None for known in closed],
            "label": [1 if known else None for known in closed],
            "weight": 1.0,
        }
    )


def state(known: pl.DataFrame, **more) -> State:
    """What an attempt on events keeps for the next one."""
    variants, matured_by = triggers.known(known)
    digests = dict.fromkeys(("parameters", "code", "packages", "own_features", "schema_hash"), "d1")
    return State(**{**digests, "variants": variants, "matured_by": matured_by, **more})


def ask(last, now, *, champion=None, **more):
    """The triggers of an attempt on events: those that the last one knew, the champion, what came."""
    before = state(last) if isinstance(last, pl.DataFrame) else last
    asked = {name: more.pop(name) for name in ("checks", "force", "evidence") if name in more}
    return triggers.found(state(now, **more), before, now, champion=champion, **asked)


def deployed(through="2020-01-01T00:00:00+00:00"):
    return Standing(stored.artefact(schema_hash="d1", trained_through=through).bundle)


def kinds(found):
    return [trigger.kind for trigger in found if trigger.holds]


def test_without_an_earlier_attempt_it_is_the_first():
    assert kinds(ask(None, events(100))) == [Cause.FIRST_ATTEMPT]
    assert kinds(ask(None, events(100), force=True)) == [Cause.FORCED, Cause.FIRST_ATTEMPT]


@pytest.mark.parametrize(("more", "enough"), [(499, False), (500, True)], ids=["499", "500"])
@pytest.mark.parametrize("champion", [None, deployed("2021-01-01T00:00:00+00:00")], ids=["no champion", "champion"])
def test_matured_events_that_no_attempt_saw_are_counted(more, enough, champion):
    found = next(one for one in ask(events(100), events(100 + more), champion=champion) if one.kind == Cause.EVENTS)
    assert (found.value, found.threshold, found.holds) == (more, 500, enough)
    assert trigger.told(found) == f"{more} of 500 new matured events (effective number)"


def test_events_whose_labels_overlap_count_by_their_uniqueness():
    now = events(700).with_columns(weight=pl.lit(0.25))
    (found,) = ask(events(100), now)
    assert (found.value, found.holds) == (150.0, False)


def test_an_event_that_closed_early_is_not_counted_before_it_was_due():
    now = events(100).with_columns(t1=pl.col("t0"))
    late = state(now.filter(pl.col("t1_due") < pl.col("t1_due").max()))
    assert ask(late, now)[0].value == 1


def test_new_bars_alone_train_nothing():
    now = events(110, open_ones=10)
    assert kinds(ask(events(100), now)) == [] and kinds(ask(events(100), now, champion=deployed())) == []


def test_events_of_other_rules_are_all_new():
    assert ask(events(100), events(100, variant="toy-2"))[-1].value == 100


@pytest.mark.parametrize("kind", [Cause.PARAMETERS, Cause.CODE, Cause.PACKAGES, Cause.OWN_FEATURES, Cause.TABLE])
def test_what_somebody_changed_trains_again(kind):
    assert kinds(ask(events(100), events(100), **{kind.value: "d2"})) == [kind]
    assert kinds(ask(events(100), events(100), force=True, **{kind.value: "d2"})) == [Cause.FORCED, kind]


def test_another_schema_an_old_champion_and_one_that_cannot_be_read_train_again():
    now = events(100)
    assert kinds(ask(now, now, champion=deployed(), schema_hash="d2")) == [Cause.SCHEMA]
    long_ago = state(now, matured_by=dt.datetime(2018, 1, 1, tzinfo=dt.UTC))
    old = ask(long_ago, now, champion=deployed("2010-01-01T00:00:00+00:00"))[-1]
    assert (old.kind, old.value, old.holds) == (Cause.AGE, 3751, True)
    assert trigger.told(old) == "the champion's training ended 3,751 days before the newest event, of at most 365"
    assert kinds(ask(now, now, champion=Standing(None))) == [Cause.CHAMPION_UNREADABLE]


@pytest.mark.parametrize("alarm", [True, False], ids=["alarm", "quiet"])
def test_confirmed_harm_trains_again_and_drift_of_the_input_does_not(alarm):
    of = {"namespace": "toy", "day": dt.date(2020, 4, 1), "model_id": "m", "n": 200, "threshold": 6.0}
    of["value"] = 7.2 if alarm else 5.2
    seen = [Check(what=What.ERROR_CUSUM, alarm=alarm, **of), Check(what=What.INPUT, alarm=True, **of)]
    found = ask(events(100), events(100), champion=deployed(), checks=seen)
    assert kinds(found) == ([Cause.HARM] if alarm else [])
    assert trigger.told(found[-1]) == f"errors of matured decisions: statistic {of['value']}, alarm from 6.0"


def test_what_an_attempt_has_answered_does_not_train_again():
    """Else a candidate that the gate refuses would be trained anew on every day."""
    of = {"namespace": "toy", "day": dt.date(2020, 4, 1), "model_id": "m", "n": 200, "value": 7.2, "threshold": 6.0}
    harm = Check(what=What.ERROR_CUSUM, alarm=True, **of)
    answered = state(events(100), alarms=triggers.alarms([harm]))
    found = ask(answered, events(100), champion=deployed(), checks=[harm])
    assert kinds(found) == [] and trigger.told(found[-1]).endswith("; an attempt was already made for it")
    other = harm.model_copy(update={"model_id": "another"})
    assert kinds(ask(answered, events(100), champion=deployed(), checks=[other])) == [Cause.HARM]

    old = deployed("2010-01-01T00:00:00+00:00")
    assert kinds(ask(state(events(100)), events(100), champion=old)) == []
    later = events(100).with_columns(pl.col("session", "t0", "t1", "t1_due").dt.offset_by("400d"))
    assert Cause.AGE in kinds(ask(state(events(100)), later, champion=old))


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


def recorded_attempt(monkeypatch, tmp_path, known: pl.DataFrame) -> SimpleNamespace:
    """A request of a namespace whose last attempt knew these events, and is not published yet."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    row = {"run_id": "20260101T000000Z_toy", "finished_utc": FIRST, "fingerprint": "f", "decision": "kept"}
    ledger.attempt(Namespace("toy"), **row, events=len(known), verdict={}, state=state(known).plain())
    asked = SimpleNamespace(settings=toy_settings(), force=True)
    asked._replace = lambda **changes: SimpleNamespace(settings=asked.settings, **changes)
    return asked


def test_after_an_attempt_the_distances_begin_anew_and_are_kept(monkeypatch, tmp_path):
    known = events(300)
    asked = recorded_attempt(monkeypatch, tmp_path, known)
    retrain.keep_distances(asked, state(known), known)
    (told,) = kept.distances(Namespace("toy")).triggers
    assert (told.kind, told.holds, told.value, told.text) == (
        Cause.EVENTS,
        False,
        0.0,
        "0 of 500 new matured events (effective number)",
    )
    assert trigger.found(asked, state(known), known)[0].kind == Cause.UNFINISHED


def test_a_database_that_went_away_does_not_undo_a_deployment(monkeypatch, tmp_path, caplog):
    known = events(300)
    asked = recorded_attempt(monkeypatch, tmp_path, known)
    monkeypatch.setenv("BQ_DATABASE_URL", f"sqlite:///{tmp_path}")
    retrain.keep_distances(asked, state(known), known)
    assert "the distances of the triggers are not kept" in caplog.text
    assert kept.distances(Namespace("toy")) is None


CHANGE = dt.date(2020, 3, 1)


@pytest.mark.parametrize("holds", [False, True], ids=["too little", "enough"])
def test_after_a_confirmed_change_only_enough_evidence_since_it_trains(holds):
    evidence = Trigger(kind=Cause.EVIDENCE, holds=holds, value=200.0, threshold=300.0)
    found = ask(state(events(10)), events(700), evidence=evidence, since=CHANGE, parameters="other")
    assert [one.kind for one in found] == [Cause.EVIDENCE]
    assert kinds(found) == ([Cause.EVIDENCE] if holds else [])
    forced = ask(state(events(10)), events(700), evidence=evidence, since=CHANGE, force=True)
    assert kinds(forced) == [Cause.FORCED, *kinds(found)]
    assert "200 of 300 days out of sample since the change" in trigger.told(found[0])


def test_an_attempt_since_the_change_answers_it_for_a_year_or_until_there_is_a_champion():
    evidence = Trigger(kind=Cause.EVIDENCE, value=400.0, threshold=300.0)
    last = state(events(300), since=CHANGE)
    assert kinds(ask(last, events(600), evidence=evidence, since=CHANGE)) == []
    told = [trigger.told(one) for one in ask(last, events(600), evidence=evidence, since=CHANGE)]
    assert any("an attempt was already made for it" in text for text in told)
    assert Cause.EVIDENCE in kinds(ask(last, events(700), evidence=evidence, since=CHANGE))
    standing = deployed("2021-06-01T00:00:00+00:00")
    assert Cause.EVIDENCE not in [
        one.kind for one in ask(last, events(700), evidence=evidence, since=CHANGE, champion=standing)
    ]
