"""What the page of a replay says: of a planted change how long, of an alarm whether it was right."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from replayed import planted

from bq.jobs import replay_page, replay_recovery
from bq.jobs.replay_ends import EARNED, Alarmed
from bq.jobs.replaying import Distance, Replayed, Retired, Trained
from bq.monitoring.checks import Check, What
from bq.monitoring.outcomes import COUNTED
from bq.runs.record import Cause, Trigger
from tests import stored

FIRST = dt.date(2011, 1, 3)
CHANGE = FIRST + dt.timedelta(days=400)
MODEL = stored.artefact(b"graph", model="m")


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


@pytest.fixture(scope="module")
def small():
    found = planted("breakout")
    simulation = found.settings.market.simulation.model_copy(update={"changes": CHANGE})
    market = found.settings.market.model_copy(update={"simulation": simulation})
    return found._replace(settings=found.settings.model_copy(update={"market": market}))


def made(*, ahead: float, again: float = 0.2) -> Replayed:
    """800 days: the model earns .2 a session more than the rule until the change, then less, and `again` from day 600.

    Of the ten days from 600 on it loses a little more than it earns in forty, if it earns again.
    """
    chance = np.random.default_rng(3)
    numbers = np.arange(800)
    gain = np.select([numbers < 400, numbers < 600, numbers < 610], [0.2, -0.3, -4.02 * abs(again)], again)
    gain = gain + np.where(numbers < 600, 0.05 * chance.normal(size=800), 0.0)
    rows = {"session": [day(int(n)) for n in numbers], "decided_by": ["m"] * 800}
    earned = pl.DataFrame({**rows, "system": gain, "rule": np.zeros(800), "everything": np.zeros(800)}, schema=EARNED)
    events = pl.DataFrame(
        {
            "event_id": [str(n) for n in numbers],
            "session": rows["session"],
            "t0": [dt.datetime.combine(day(int(n)), dt.time(21), dt.UTC) for n in numbers],
            "t1": [dt.datetime.combine(day(int(n) + 5), dt.time(21), dt.UTC) for n in numbers],
            "t1_due": [dt.datetime.combine(day(int(n) + 5), dt.time(21), dt.UTC) for n in numbers],
            "outcome": gain,
        }
    )
    decided = pl.DataFrame(schema=COUNTED)
    facts = {"value": -0.4, "low": -0.5, "high": -0.3, "threshold": 0.2, "details": {"from": str(FIRST), "months": 3.0}}
    alarm = Check(namespace="breakout", day=day(450), what=What.PROMISE, model_id="m", n=9, alarm=True, **facts)
    why = (Trigger(kind=Cause.PROMISE, value=-0.4, threshold=0.2),)
    trained = [
        Trained(day(0), (Trigger(kind=Cause.FIRST_ATTEMPT),), ("m",), "adds", MODEL, 1.0),
        Trained(day(500), why, (), "not proven", MODEL, 1.0),
        Trained(day(600), why, ("n",), "adds", MODEL, 1.0),
    ]
    after = pl.DataFrame({"session": rows["session"][450:], "value": np.full(350, ahead) + 0.01 * gain[450:]})
    alarmed = [Alarmed(What.PROMISE, "m", day(450), after)]
    return Replayed(
        decided=decided,
        events=events,
        earned=earned,
        hindsight=earned.select("session", value="rule", choice=pl.lit("rule score")),
        trained=trained,
        alarms=[(day(450), alarm)],
        alarmed=alarmed,
        distances=[Distance(day(7), 50.0, 20)],
        days=800,
    )


def part(small, replayed: Replayed, title: str) -> str:
    found = dict(replay_page.parts(replayed, small.strategy, small.settings))
    return "\n".join(repr(content) for content in found[title])


def test_a_planted_change_is_followed_to_its_alarm_attempt_and_deployment(small):
    told = part(small, made(ahead=-0.3), "After the change of the signal")
    lines = [line.split() for line in told.splitlines()]
    words = {"first alarm on errors or promises": 450, "first attempt": 500, "first deployment": 600, "recovered": 650}
    for said, number in words.items():
        assert [*said.split(), str(day(number)), str(number - 400)] in lines
    spans = {line.split("  ")[0].strip("'"): line for line in told.splitlines()}
    assert "400" in spans["before the change"] and "+0.2" in spans["before the change"]
    assert "-0.3" in spans["from the change to the deployment"] or "-0.29" in spans["from the change to the deployment"]


def test_of_a_retired_model_it_says_when_a_verdict_can_come_at_the_earliest(small):
    replayed = made(ahead=-0.3)
    replayed.retired = [Retired(day(470), "m", day(396))]
    told = part(small, replayed, "After the change of the signal")
    assert ["model", "retired", str(day(470)), "70"] in [line.split() for line in told.splitlines()]
    assert f"({day(396)})" in told and "asks for 365 days" in told and "17 months" in told  # 365 / .7 / 30.4
    assert "without a model" in told and "until its model stopped deciding" in told


def test_what_earns_less_than_the_rule_after_its_deployment_has_not_recovered(small):
    replayed = made(ahead=-0.3, again=-0.1)
    found = replay_recovery.found(replayed, CHANGE)
    assert (found.noticed, found.deployed, found.recovered) == (day(450), day(600), None)
    assert "recovered" in (told := part(small, replayed, "After the change of the signal"))
    assert replay_recovery.NEVER in told


def test_without_a_planted_change_nothing_is_said_of_one(small):
    late = small._replace(
        settings=small.settings.model_copy(
            update={
                "market": small.settings.market.model_copy(
                    update={"simulation": small.settings.market.simulation.model_copy(update={"changes": None})}
                )
            }
        )
    )
    titles = [title for title, _ in replay_page.parts(made(ahead=0.0), late.strategy, late.settings)]
    assert "After the change of the signal" not in titles and "Alarms" in titles


@pytest.mark.parametrize(("ahead", "right"), [(-0.3, "yes"), (0.3, "no"), (0.0, "cannot be told")])
def test_an_alarm_is_right_where_the_model_earned_less_than_the_rule_from_then_on(small, ahead, right):
    replayed = made(ahead=ahead)
    if not ahead:
        one = replayed.alarmed[0]
        balanced = pl.Series(np.tile([1.0, -1.0], 175))
        replayed.alarmed = [one._replace(ahead=one.ahead.with_columns(value=balanced))]
    assert right in part(small, replayed, "Alarms").splitlines()[1]
