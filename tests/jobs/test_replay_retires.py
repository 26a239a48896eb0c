"""In a replay a model that its errors refute stops deciding that day, and nothing trains until there is evidence."""

from replayed import planted

from bq.core import world
from bq.jobs import attempt, replay_page, replaying
from bq.monitoring import triggers
from bq.monitoring.checks import Check, What
from bq.monitoring.drift import Monitored
from bq.runs.record import Cause
from bq.serving import registry

WEEKS = 4  # after the first deployment, in which errors are confirmed to be more


def test_a_refuted_model_decides_no_more_and_evidence_begins_at_the_change(monkeypatch):
    small = planted("butterfly")
    learning = small.settings.learning.model_copy(update={"on_harm": "retire"})
    settings = small.settings.model_copy(update={"learning": learning})
    judge, watched = attempt.judge, []

    def deployed(asked):
        found = judge(asked)
        return found._replace(ours=found.ours._replace(deploy=True))

    def harmed(strategy, settings, market, **given):
        pointer = registry.pointer(settings.namespace)
        watched.append(pointer.model_id)
        day = given["counted"]["session"].max()
        alarm = len(watched) > WEEKS
        details = {
            "changed": str(small.days[10]),
            "error": 0.5,
            "error_low": None,
            "reference_error": 0.3,
        }
        details |= dict.fromkeys(("harmful_error", "found", "within_months", "false_alarms_a_year"), 0.1)
        details |= {"alarm_at": None, "delay_months": None}
        facts = {"value": 7.0, "threshold": 6.0, "blocks": 9, "alarm": alarm, "details": details}
        check = Check(
            namespace=str(settings.namespace), day=day, what=What.ERROR_CUSUM, model_id=pointer.model_id, n=9, **facts
        )
        return [Monitored(settings.namespace, pointer.model_id, None, day, (check,))]

    monkeypatch.setattr(attempt, "judge", deployed)
    monkeypatch.setattr(replaying.drift, "check", harmed)
    monkeypatch.setattr(triggers, "ENOUGH", 5.0)  # so that there would be attempts after it
    with world.own():
        made = replaying.replay(small.strategy, settings, small.market, small.days[0], small.days[69])
    ((session, model, changed),) = made.retired
    assert (model, changed) == (watched[-1], small.days[10])
    assert watched == [*watched[:WEEKS], model]  # what is retired is watched no more
    by_day = dict(made.decided.select("session", "model_id").unique().rows())
    assert by_day[session] is None and all(by_day[day] is None for day in by_day if day >= session)
    assert by_day[small.days[small.days.index(session) - 1]] == model
    assert all(one.session <= session for one in made.trained)
    assert Cause.EVIDENCE not in [why.kind for one in made.trained for why in one.why]
    told = "\n".join(repr(part) for part in dict(replay_page.parts(made, small.strategy, settings))["Who decided"])
    assert model in told and str(session) in told and str(changed) in told
    assert "the model before was retired" in told
