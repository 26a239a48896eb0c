"""A card of the dashboard, from facts written by hand: what is drawn and said, and what is said where nothing is."""

import datetime as dt
import re

import pytest

from bq.core.namespace import Namespace, Tier
from bq.monitoring.checks import Alert, Severity
from bq.monitoring.heat import Column, Heat
from bq.monitoring.kept import Distances
from bq.monitoring.overview import Net, Overview, Sums, Week
from bq.runs.record import Cause, Trigger
from bq.runs.schedule import Schedule
from bq.runs.verdict import Figure
from bq.serving.model_records import Pointer
from bq.serving.registry import Decider
from bq.workbench import dashboard, standing_card
from bq.workbench.standing import Deployed, Evidence, Standing

NOW = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)
MODEL = "b1f09c22b1f09c22"
HOSTILE = '<script>alert("x")</script>'
MONDAY = dt.date(2026, 11, 2)
RULE = {"decider": Decider(Tier.RULE), "deployed": None}


def week(number: int, predicted: float, realised: float, **changes) -> Week:
    common = {"events": 40, "predicted": predicted, "realised": realised, "window_from": dt.date(2026, 1, 5)}
    window = {"window_predicted": predicted, "window_realised": realised, "difference": realised - predicted}
    interval = {"low": -0.3, "high": 0.1, "alarm": False}
    return Week(week=MONDAY + dt.timedelta(7 * number), **{**common, **window, **interval, **changes})


def overview(**changes) -> Overview:
    """Of a champion that decided on two sessions."""
    net = Net(
        value=0.25,
        low=0.1,
        high=0.4,
        rule=-0.5,
        difference=0.75,
        difference_low=0.5,
        difference_high=1.0,
        blocks=6.0,
        months=13.2,
    )
    days = [dt.date(2026, 11, 2), dt.date(2026, 11, 3)]
    sums = Sums(sessions=days, decided=[0.0, 1.0], rule=[0.0, -1.0], everything=[0.0, 0.5])
    whole = {"counted": 100, "matured": 80, "tier": Tier.CHAMPION, "models": [MODEL], "events": 80, "sessions": 40}
    whole |= {"net": net, "sums": sums, "weeks": [week(0, 0.2, 0.1), week(1, 0.4, 0.3)]}
    whole |= {"namespace": "butterfly", "state": "x", "outcome": "R", "promises": True}
    return Overview(**whole | changes)


def standing(**changes) -> Standing:
    """A champion with everything known."""
    pointer = Pointer(model_id=MODEL, previous=None, since_utc=NOW - dt.timedelta(days=9), reason="why")
    figure = Figure(name="net R", value=0.125, low=0.05, high=0.2, baseline=-0.25, baseline_is="rule score")
    evidence = Evidence("20261120T000000Z_butterfly", "modelled", figure, report=True)
    psi = {MONDAY: [0.09, 0.9], MONDAY + dt.timedelta(7): [0.18, 0.9]}
    heat = Heat(
        model_id=MODEL,
        features=["calm", "wild"],
        columns=[Column(week=day, n=100, psi=values) for day, values in psi.items()],
    )
    triggers = [
        Trigger(kind=Cause.EVENTS, holds=False, value=132, threshold=500, text="132 of 500 new matured events"),
        Trigger(kind=Cause.CODE, holds=True, text="other code"),
    ]
    whole = {
        "schedule": Schedule(NOW, None),
        "decider": Decider(Tier.CHAMPION, MODEL),
        "deployed": Deployed(pointer, dt.date(2026, 11, 1), "modelled", evidence),
        "overview": overview(),
        "heat": heat,
        "distances": Distances(at_utc=NOW, triggers=triggers),
    }
    return Standing(Namespace("butterfly"), NOW, **{**whole, **changes})


def alert(severity: Severity, statement: str) -> Alert:
    rest = {"id": 1, "namespace": "butterfly", "opened_utc": NOW, "closed_utc": None, "kind": "drift.input"}
    return Alert(severity=severity, statement=statement, check_ids=[], acknowledged_utc=None, **rest)


def panel(heading: str, **changes) -> standing_card.Panel:
    return next(one for one in standing_card.card(standing(**changes)).panels if one.heading.startswith(heading))


def test_the_evidence_stands_with_its_source_interval_baseline_and_report():
    card = standing_card.card(standing())
    assert card.evidence == "deployed on net R: +0.125 [+0.050, +0.200], rule score -0.250"
    assert card.notice == "Not evidence about the market: option prices are modelled."
    assert card.report == "20261120T000000Z_butterfly/report.html"
    assert card.since == "since 2026-11-20 (9 days), trained on outcomes to 2026-11-01 (28 days ago)"


def test_evidence_of_real_prices_has_no_notice():
    deployed = standing().deployed._replace(source="real")
    assert standing_card.card(standing(deployed=deployed)).notice == ""


@pytest.mark.parametrize("changes", [RULE, {}], ids=["rule score", "champion"])
def test_a_simulated_market_is_never_evidence(changes):
    shown = standing(**changes)._replace(namespace=Namespace("butterfly", simulated=True))
    assert standing_card.card(shown).notice == "Not evidence about the market: this market is simulated."


def test_a_champion_that_cannot_answer_is_named():
    shown = standing_card.card(standing(**RULE, silent=MODEL, source="modelled"))
    assert shown.silent == f"the deployed champion {MODEL} cannot answer"
    assert shown.notice == "Not evidence about the market: option prices are modelled."


def test_running_sums_are_drawn_to_scale_and_labelled_with_their_ends():
    drawn = str(panel("Net result").drawing)
    # ticks -1, 0, 1: a height of 300 from +1 down to -1
    assert '<polyline class="model" points="0.0,150.0 1000.0,0.0"/>' in drawn
    assert '<polyline class="rule" points="0.0,150.0 1000.0,300.0"/>' in drawn
    assert '<polyline class="everything" points="0.0,150.0 1000.0,75.0"/>' in drawn
    for end in ("champion +1.00", "rule score -1.00", "every event +0.50"):
        assert end in drawn


def test_net_result_says_interval_baseline_evidence_and_the_delay_to_a_verdict():
    assert panel("Net result").text == (
        "R a session: champion +0.250 [+0.100, +0.400], rule score -0.500; difference +0.750 [+0.500, +1.000], verdict "
        "in 14 months (40 sessions, 6.0 blocks)."
    )


def test_the_band_is_the_interval_laid_on_what_was_predicted():
    drawn = str(panel("Predicted").drawing)
    # ticks -0.2, 0, 0.2, 0.4, 0.6: predicted .2 and .4 less .3 are -.1 and .1, and more .1 are .3 and .5
    assert '<polyline class="model" points="0.0,150.0 1000.0,75.0"/>' in drawn
    assert '<polygon class="fan" points="0.0,262.5 1000.0,187.5 1000.0,37.5 0.0,112.5"/>' in drawn


def test_a_week_without_an_interval_has_no_band():
    weeks = [week(0, 0.2, 0.1, low=None, high=None)]
    drawn = panel("Predicted", overview=overview(weeks=weeks))
    assert 'class="fan"' not in str(drawn.drawing)
    assert "too few sessions for an interval" in drawn.text


def test_a_broken_promise_is_said():
    assert panel("Predicted", overview=overview(weeks=[week(0, 0.9, 0.1, alarm=True)])).text.endswith("±0.20: ALARM.")


def test_the_feature_that_drifts_most_comes_first_and_is_the_darkest():
    drawn = str(panel("Drift").drawing)
    assert drawn.index(">wild<") < drawn.index(">calm<")
    # chance is 9 / n of deciles: .09 at n = 100, so .09 is once, .18 twice and .9 ten times chance
    cells = re.findall(r'fill-opacity="([\d.]+)"><title>(\w+), week of ([\d-]+): ([\d.]+) times', drawn)
    assert cells == [
        ("1.0", "wild", "2026-11-02", "10.0"),
        ("1.0", "wild", "2026-11-09", "10.0"),
        ("0.0", "calm", "2026-11-02", "1.0"),
        ("0.25", "calm", "2026-11-09", "2.0"),
    ]


def test_distances_of_triggers_are_bars_and_those_that_hold_are_marked():
    card = standing_card.card(standing())
    assert card.bars == [("132 of 500 new matured events", 26.4, False), ("other code", None, True)]
    assert card.triggers == "as of 2026-11-29 12:00 UTC"


def test_grave_alerts_come_before_warnings():
    alerts = (alert(Severity.WARNING, "first"), alert(Severity.GRAVE, "second"))
    shown = standing_card.card(standing(alerts=alerts)).alerts
    assert shown == [("red", "grave", "second"), ("amber", "warning", "first")]


NOTHING = {
    "nothing counted": (
        {"overview": overview(counted=0, matured=0)},
        "Outcomes",
        "Nothing counted yet: what counts is",
    ),
    "nothing matured": (
        {"overview": overview(matured=0, next_due=dt.date(2026, 12, 3))},
        "Outcomes",
        "Nothing has an outcome yet: 100 decisions open, the next is due on 2026-12-03.",
    ),
    "in sample": ({"overview": overview(tier=None)}, "Outcomes", "All 80 decisions with an outcome are in sample"),
    "database away": ({"overview": None, "fault": "it is away"}, "Outcomes", "Not known: it is away"),
    "rule score promises": (
        {"overview": overview(tier=Tier.RULE, models=[])} | RULE,
        "Predicted",
        "predicts no outcome",
    ),
    "z-scores": ({"overview": overview(promises=False, weeks=[])}, "Predicted", "z-scores"),
    "no heat": ({"heat": None}, "Drift", "`make check-drift` computes it"),
    "heat of another model": ({"heat": standing().heat.model_copy(update={"model_id": "x"})}, "Drift", "Not known yet"),
    "no model drifts": (RULE, "Drift", "No model decides"),
}


@pytest.mark.parametrize("name", NOTHING)
def test_an_empty_panel_says_why(name):
    changes, heading, said = NOTHING[name]
    shown = panel(heading, **changes)
    assert said in shown.text and str(shown.drawing) == ""


def test_where_no_model_decides_the_newest_candidate_is_named_as_no_evidence_for_the_rule_score():
    card = standing_card.card(standing(**RULE, newest=standing().deployed.evidence))
    assert (card.decides, card.since) == ("rule score", "no model decides")
    assert card.evidence.startswith("newest candidate, net R: +0.125")
    assert standing_card.card(standing(**RULE)).evidence == "no candidate was judged yet"


def test_the_rule_score_alone_has_one_line_of_its_own():
    changes = {"overview": overview(tier=Tier.RULE, models=[])}
    shown = panel("Net result", **changes, **RULE)
    assert str(shown.drawing).count("<polyline") == 2 and "difference" not in shown.text


def test_an_expected_run_that_did_not_come_is_red_and_one_that_came_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    late, early = (Schedule(NOW - dt.timedelta(days=days), 1) for days in (9, 1))
    dashboard.write_index([standing(schedule=late)], {}, [])
    page = (tmp_path / "outputs" / "index.html").read_text()
    assert re.search(
        r'<p class="red late" data-last="[^"]+" data-every="1">last run 9 days ago, expected daily</p>', page
    )
    dashboard.write_index([standing(schedule=early)], {}, [])
    assert re.search(r'data-every="1" hidden></p>', (tmp_path / "outputs" / "index.html").read_text())


def test_hostile_names_stay_text(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    heat = standing().heat.model_copy(update={"features": [HOSTILE, f"{HOSTILE}2"]})
    shown = standing(
        heat=heat,
        alerts=(alert(Severity.GRAVE, f'" onmouseover="x {HOSTILE}'),),
        distances=Distances(at_utc=NOW, triggers=[Trigger(kind=Cause.CODE, text=HOSTILE)]),
        overview=overview(outcome=HOSTILE, models=[HOSTILE]),
    )
    other = standing(overview=None, fault=HOSTILE)
    dashboard.write_index([shown, other], {}, [])
    page = (tmp_path / "outputs" / "index.html").read_text()
    assert page.count("<script") == 1 and HOSTILE not in page
    assert page.count("&lt;script&gt;") >= 8 and 'onmouseover="x' not in page
