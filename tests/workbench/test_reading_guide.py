"""What docs/reading_a_report.md leads a reader to stands in a report."""

import re

import pytest

from bq.core import paths
from bq.runs.record import RunRecord
from bq.runs.verdict import Decision, Part, Verdict, Without
from bq.serving import verdict_text
from bq.strategies.component import Component, Kind, Missing
from bq.workbench import report

GUIDE = paths.CHECKOUT / "docs" / "reading_a_report.md"
PLACES = re.findall(r"\*\*([A-Z][^*]+)\*\*", re.search(r"\| question.*?\n\n", GUIDE.read_text(), re.S)[0])
BELOW = ("Second tier", "Changed since the last run", "Warnings")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """A report of a model that is not deployed for one reason, and hangs on one symbol."""
    net = Component(kind=Kind.NET, holds=False, of="net", value=0.1, low=-0.1, high=0.3, threshold=0.0, sessions=50)
    net = net.model_copy(update={"blocks": 30.0, "missing": Missing(by=0.1)})
    smaller = net.model_copy(update={"value": 0.01})
    groups = [
        Without(split="symbol", called="symbol", group=name, events=9, figures=[smaller]) for name in ("KO", "PEP")
    ]
    said = Verdict(
        decision=Decision.KEPT,
        headline="Not deployed; the rule score stays in use",
        components=[verdict_text.part(net), Part(name="parity", holds=True, statement="no flips")],
        second_tier=["refused"],
        without=groups,
        table={"columns": ["figure"], "rows": [["net"]], "note": ""},
    )
    told = {"run_id": "r", "namespace": "toy", "job": "retrain", "status": "kept", "error": None}
    record = RunRecord(**told, warnings=["w"], changes=["c"], downloads=[{"label": "Tear sheet", "file": "t.html"}])
    target = tmp_path_factory.mktemp("guide") / "report.html"
    report.render([], target, run=record, verdict=said)
    return re.sub(r"<[^>]+>", "", target.read_text())


@pytest.mark.parametrize("place", sorted({*PLACES, *BELOW}))
def test_every_place_that_the_guide_names_is_in_a_report(page, place):
    assert place in page


def test_the_guide_answers_six_questions_and_shows_pictures_that_exist():
    text = GUIDE.read_text()
    assert len(re.findall(r"^\| [A-Z][^|]+\? \|", text, re.M)) == 6 and len(PLACES) >= 5
    pictures = re.findall(r"\((pictures/[\w.]+)\)", text)
    assert pictures and all((GUIDE.parent / name).is_file() for name in pictures)


def test_the_answers_of_the_first_screen_are_there(page):
    assert "KEPT" in page and "The new model is not deployed" in page and "the rule score stays in use" in page
    assert "✗ fails" in page and "Needed: the mean must rise by 0.100" in page and "without KO" in page
