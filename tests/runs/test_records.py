"""A record is read whole or refused in one sentence; what it does not know is left out."""

import json

import pytest

from bq import runs
from bq.core.errors import BadData
from bq.core.records import Record
from bq.runs import folder as names
from bq.runs.record import RunRecord
from bq.runs.verdict import Verdict
from bq.serving import verdict_text
from bq.serving.model_records import Bundle, Card, Pointer, Saved
from bq.strategies.component import Component, Kind, Missing
from tests.stored import BUNDLE, run_record

RECORDS = [RunRecord, Verdict, Bundle, Card, Pointer, Saved]


@pytest.mark.parametrize("record", RECORDS)
def test_every_record_says_its_version_and_refuses_a_later_one(record):
    known = record.model_fields["schema_version"].default
    assert known >= 2
    with pytest.raises(
        BadData, match=rf"schema {known} or earlier, but .* \(schema {known + 1}\)\. Update the program"
    ):
        record.of({"schema_version": known + 1}, what="it")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"status": None}, "must hold a valid `status`, but got None", id="no-status"),
        pytest.param({"status": "hoped for"}, "must hold a valid `status`, but got 'hoped for'", id="unknown-status"),
        pytest.param({"phases": [{"name": "x"}]}, "must name phases.0.seconds, phases.0.peak_rss_mib", id="part"),
        pytest.param({"tables": "x"}, "must hold a valid `tables`, but got 'x'", id="tables"),
        pytest.param({"started_utc": "then"}, "must hold a valid `started_utc`, but got 'then'", id="time"),
        pytest.param({"parameters": []}, r"must hold a valid `parameters`, but got \[\]", id="parameters"),
    ],
)
def test_a_damaged_record_is_one_sentence(changes, said):
    with pytest.raises(BadData, match=f"^run r: run.json {said}.*Remove the folder.$") as caught:
        RunRecord.of(run_record().plain() | changes, what="run r: run.json", remedy="Remove the folder.")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "\x00", "[" * 100_000], ids=lambda text: repr(text[:4]))
def test_what_is_no_object_is_one_sentence(text):
    with pytest.raises(BadData, match=r"^champion\.json must hold a JSON object, but "):
        Pointer.parse(text, what="champion.json")


def test_names_that_are_not_known_are_left_out():
    found = RunRecord.of(run_record().plain() | {"mood": "good"}, what="it")
    assert found == run_record()


@pytest.mark.parametrize(
    "record",
    [run_record(), Bundle(**BUNDLE), Card(oos_values=[("2020-01-03", float("nan"))], metrics_oos=[{"value": 1.0}])],
    ids=lambda record: type(record).__name__,
)
def test_what_is_written_is_read_back(record: Record, tmp_path):
    record.write(tmp_path / "it.json")
    again = type(record).read(tmp_path / "it.json", what="it")
    assert again.plain() == record.plain() == json.loads((tmp_path / "it.json").read_text())


def test_a_mistyped_field_is_an_error_and_so_is_a_wrong_value():
    record = run_record()
    with pytest.raises(ValueError, match="titel"):
        record.titel = "x"
    with pytest.raises(ValueError, match="status"):
        record.status = "hoped for"


@pytest.mark.parametrize("run_id", ["../../elsewhere", "/elsewhere"])
def test_a_record_leads_its_folder_nowhere_else(tmp_path, monkeypatch, run_id):
    from bq.runs import write

    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    hidden = names.hidden("20260101T000000Z_toy")
    hidden.mkdir(parents=True)
    assert write.into_place(hidden, run_record(run_id)) == names.final("20260101T000000Z_toy")
    assert [run.folder.name for run in runs.every()] == ["20260101T000000Z_toy"]


# ---- components

FIGURES = {"value": 0.1, "low": -0.1, "high": 0.3, "threshold": 0.2, "baseline": 0.05, "sessions": 50, "events": 400}
DEFLATED = {
    **{"probability": 0.9, "revised": 0.8, "undeflated": 0.99, "sharpe": 0.1, "attempts": 1, "tuned": 0},
    **{"trials": 2, "sessions": 50, "needed": float("inf")},
}
MORE = {
    Kind.ROLLED_BACK: {"rolled_back": "2026-11-29T08:00:00+00:00"},
    Kind.NET_OF_TRADES: {"traded": 7},
    Kind.DRAWDOWN: {"ratio": 2.0},
    Kind.CALIBRATION: {"classes": ["a", "b"]},
    Kind.PARITY: {"flips": 0, "rows": 10},
    Kind.ROLLING_RANK_IC: {"windows": 3, "window_sessions": 60},
    Kind.LEAKS: {"features": 3, "accused": {"mine.ahead": ["later_bars", "served"]}},
    Kind.OWN_FILES: {"features": 2, "by_hand": ["mine.look"], "changed": ["mine.dip"]},
    Kind.OVERFITTING: {"trials": 3, "effective": 2, "all_trials": 0.4},
    Kind.DEFLATED_SHARPE: DEFLATED,
    Kind.DEFLATED_UPLIFT: DEFLATED | {"beyond": Kind.ALPHA},
}


@pytest.mark.parametrize("holds", [True, False, None], ids=str)
@pytest.mark.parametrize("kind", Kind)
def test_every_component_has_words_and_its_facts_are_stored(kind, holds):
    component = Component.asked(kind, holds, Missing(by=0.1, months=3), **FIGURES, more=MORE.get(kind, {}))
    part = verdict_text.part(component)
    assert part.name and part.statement and bool(part.needed) is (holds is not True)
    verdict = Verdict(decision="kept", headline="why", components=[part])
    again = Verdict.parse(verdict.text(), what="it").part(kind)
    assert again == part
    assert (again.facts.value, again.facts.low, again.facts.threshold, again.facts.holds) == (0.1, -0.1, 0.2, holds)


@pytest.mark.parametrize("kind", Kind)
def test_every_component_has_words_without_a_figure(kind):
    part = verdict_text.part(Component.asked(kind, None, reason="too short", more=MORE.get(kind, {}), threshold=1.0))
    assert part.statement == "too short" and part.needed
