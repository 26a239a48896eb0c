"""The first screen of a report: the sentence, the six figures and the two drawings, from the facts of a verdict."""

import datetime as dt
import itertools
import re
import shutil
import xml.etree.ElementTree as ET

import pytest

from bq.core.errors import BQError
from bq.runs.verdict import Decision, Part, Running, Shown, Verdict
from bq.strategies.component import Component, Kind, Missing
from bq.workbench import first, printed, report, screen, svg
from tests.stored import run_record

NET = Component(kind=Kind.NET, holds=False, of="net ROI of the top 5", value=-0.02, low=-0.08, high=0.04, threshold=0.0)
UPLIFT = Component(kind=Kind.UPLIFT, holds=True, value=0.05, low=0.01, high=0.09, threshold=0.0, baseline=-0.07)
SAMPLE = Component.asked(Kind.SAMPLE_EVENTS, False, Missing(events=150), value=50, threshold=200)


def verdict(*facts, decision=Decision.KEPT, **more):
    parts = [Part(name=one.kind, holds=one.holds, statement="as it is", facts=one) for one in facts]
    return Verdict(decision=decision, headline="as before", components=parts, **more)


def running(n=5, **more):
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=place) for place in range(n)]
    line = [0.1 * place for place in range(n)]
    facts = {"of": "net", "model": line, "rule": line, "everything": line, "low": line, "high": line}
    return Running(sessions=days, **(facts | more))


def test_the_sentence_says_what_was_decided_by_how_much_and_how_many_conditions_stand_against_it():
    assert first.sentence(verdict(NET, UPLIFT, SAMPLE)) == (
        "The new model is not deployed: on sessions it was not trained on, its net ROI of the top 5 was -0.020 on "
        "average; its lower bound, -0.080, must be above 0. Of the gate's 3 conditions, 2 do not hold: net and "
        "sample_events."
    )
    assert first.sentence(verdict(UPLIFT, decision=Decision.DEPLOYED)) == (
        "The new model is deployed. All 1 conditions of the gate hold."
    )


def test_a_bound_that_is_above_its_threshold_is_not_asked_for_and_what_fails_is_named_up_to_three():
    holds = NET.model_copy(update={"holds": True, "value": 0.009, "low": 0.002})
    assert first.sentence(verdict(holds, SAMPLE)).endswith(
        "was +0.009 on average; its lower bound, +0.002, is above 0. Of the gate's 2 conditions, 1 does not hold: "
        "sample_events."
    )
    asked = NET.model_copy(update={"value": 0.009, "low": 0.002, "threshold": 0.005})
    assert "its lower bound, +0.002, must be above +0.005. Of" in first.sentence(verdict(asked))
    alpha = Part(name="net ROI: alpha", holds=False, statement="", facts=SAMPLE.model_copy(update={"of": "net ROI"}))
    assert first.sentence(verdict(SAMPLE).model_copy(update={"components": [alpha] * 3})).endswith(
        "3 do not hold: alpha, alpha and alpha."
    )
    assert first.sentence(verdict(SAMPLE).model_copy(update={"components": [alpha] * 4})).endswith("4 do not hold.")


def test_where_the_bound_is_of_what_is_earned_beyond_being_long_the_sentence_says_so():
    long = Component(kind=Kind.OVER_LONG, holds=False, value=0.01, low=-0.03, high=0.05, threshold=0.0, baseline=-0.04)
    mean = NET.model_copy(update={"alpha": None})
    assert (
        "on average; the lower bound of what it earned beyond being long, -0.030, must be above 0."
        in first.sentence(verdict(mean, long))
    )
    (cell,) = [one for one in first.strip(verdict(mean, long)) if one.name == "alpha over being long"]
    assert (cell.value, cell.beside) == ("+0.010", "[-0.030, +0.050], being long -0.040")


def test_a_changed_recipe_stands_beside_the_deployed_one_and_not_beside_the_rule_score():
    (cell,) = first.strip(verdict(UPLIFT.model_copy(update={"kind": Kind.CHANGED_RECIPE})))
    assert (cell.name, cell.beside) == (
        "uplift over the recipe of what is deployed",
        "[+0.010, +0.090], that recipe -0.070",
    )


def test_a_verdict_of_an_older_version_without_facts_has_no_sentence_and_no_figures():
    old = Verdict(decision="kept", headline="h", components=[Part(name="net", holds=False, statement="-0.020")])
    assert first.sentence(old) == "" and first.strip(old) == []


def test_the_strip_shows_at_most_six_figures_each_beside_its_interval_baseline_or_threshold():
    every = [Component(kind=kind, holds=True, value=1.0, low=0.5, high=2.0, threshold=0.0) for kind in first.CELLS]
    cells = first.strip(verdict(*every))
    assert len(cells) == 6 and all(cell.beside for cell in cells)
    (uplift,) = first.strip(verdict(UPLIFT))
    assert (uplift.value, uplift.beside) == ("+0.050", "[+0.010, +0.090], rule score -0.070")
    own = Shown(name="trials", value="8", beside="7 feasible")
    assert first.strip(verdict(UPLIFT, shown=[own])) == [uplift, own]


def test_a_picture_names_its_own_lines_and_draws_those_there_are():
    drawn = str(
        svg.running(running(of="return", over="the holdout", names=["winner", "as given"], everything=[], low=[]))
    )
    assert "return, running sum over the holdout" in drawn and "as given" in drawn
    assert "rule score" not in drawn and drawn.count("<polyline") == 2 and "fan" not in drawn


def shapes(drawing):
    return ET.fromstring(re.search("<svg.*</svg>", str(drawing), re.S)[0])


@pytest.mark.parametrize(("value", "side"), [(-1.0, "left"), (1.0, "right")])
def test_the_threshold_stands_in_the_middle_and_an_interval_on_its_own_side(value, side):
    facts = Component(kind=Kind.NET, holds=value > 0, value=value, low=value - 0.5, high=value + 0.5, threshold=0.0)
    drawn = {
        line.get("class"): line for line in shapes(svg.interval(Part(name="", holds=True, statement="", facts=facts)))
    }
    assert float(drawn["threshold"].get("x1")) == svg.WIDTH / 2
    ends = [float(drawn["interval"].get(name)) for name in ("x1", "x2")]
    assert min(ends) >= 0 and max(ends) <= svg.WIDTH
    assert all((end > svg.WIDTH / 2) == (side == "right") for end in ends)


def test_a_component_without_an_interval_is_not_drawn():
    assert svg.interval(Part(name="", holds=None, statement="")) == ""
    unknown = Component(kind=Kind.NET, holds=None, value=None, threshold=0.0)
    assert svg.interval(Part(name="", holds=None, statement="", facts=unknown)) == ""
    alone = Component(kind=Kind.SAMPLE_EVENTS, holds=True, value=5688.0, threshold=200.0)
    assert svg.interval(Part(name="", holds=True, statement="", facts=alone)) == "", (
        "a mark without a scale says nothing"
    )


def test_every_line_of_the_running_result_begins_left_ends_right_and_stays_inside():
    drawn = shapes(svg.running(running(9)))
    for name in ("model", "rule", "everything"):
        line = next(one for one in drawn if one.get("class") == name)
        points = [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
        assert points[0][0] == 0 and points[-1][0] == svg.WIDTH and len(points) == 9
        assert all(0 <= y <= svg.HEIGHT for _, y in points)


def test_the_axis_ends_where_the_result_does_and_not_at_the_next_round_value():
    drawn = shapes(svg.running(running(3, model=[0.0, -0.24, 1.0], rule=[0.0, 0.0, 0.0], low=[], high=[])))
    line = next(one for one in drawn if one.get("class") == "model")
    heights = [float(pair.split(",")[1]) for pair in line.get("points").split()]
    assert heights[1] >= 0.95 * svg.HEIGHT and heights[2] <= 0.05 * svg.HEIGHT
    ticks = [float(one.get("y1")) for one in drawn if one.get("class") in ("tick", "zero")]
    assert len(ticks) >= 2 and all(0 <= y <= svg.HEIGHT for y in ticks)
    nothing = shapes(svg.running(running(2, model=[0.0, 0.0], rule=[], everything=[], low=[], high=[])))
    assert [one for one in nothing if one.get("class") == "model"]


def test_what_is_not_finite_is_a_gap_and_one_session_is_no_line():
    gap = svg.running(running(5, model=[0.0, None, 0.2, 0.3, None]))
    model = next(one for one in shapes(gap) if one.get("class") == "model")
    assert len(model.get("points").split()) == 3
    assert svg.running(running(1)) == ""


def test_text_of_a_run_stays_text():
    assert "<script" not in svg.running(running(of="<script>alert(1)</script>"))


@pytest.mark.parametrize("values", [[-1.2, 3.4], [0.0], [1e-9, 2e-9], [-5e6, 5e6], [float("nan"), 1.0]], ids=str)
def test_steps_enclose_the_values_evenly_and_are_few(values):
    found = svg.steps(values)
    finite = [value for value in values if value == value]
    assert found[0] <= min(finite) and found[-1] >= max(finite) and 2 <= len(found) <= 7
    assert len({round((b - a) / (found[1] - found[0]), 6) for a, b in itertools.pairwise(found)}) == 1


def test_the_first_screen_alone_fits_a_mail_and_runs_nothing(tmp_path):
    target = tmp_path / "summary.html"
    report.render([], target, run=run_record(), verdict=verdict(NET, UPLIFT, running=running(300)))
    page = target.read_text()
    assert len(page) < 200_000 and "<script" not in page and page.count("<svg") == 3
    assert "do not hold" in page or "does not hold" in page


def test_without_a_browser_printing_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BQError, match=r"FORMAT=pdf: Chromium must be installed, but none of .* is on the path"):
        printed.pdf(tmp_path / "report.html", tmp_path / "report.pdf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not any(map(shutil.which, printed.BROWSERS)), reason="no Chromium on this machine to print with")
def test_a_printed_page_is_a_pdf(tmp_path):
    (tmp_path / "report.html").write_text("<h1>A report</h1>")
    printed.pdf(tmp_path / "report.html", tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_a_terminal_says_how_many_warnings_it_leaves_to_the_report(tmp_path):
    run = run_record(warnings=[f"warning {n}" for n in range(6)])
    lines = screen.verdict(run, None, tmp_path / "report.html").splitlines()
    assert [line for line in lines if "warning" in line][-1].strip() == "and 2 more warnings, in the report"
