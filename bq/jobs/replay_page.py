"""The page of a replay: what it earned, who decided, every attempt, and alarms with hindsight."""

from typing import Any

import polars as pl

from bq.core.namespace import Tier
from bq.core.numerals import decimal, percent
from bq.core.scalars import number
from bq.core.settings import Settings
from bq.jobs import replay_recovery, replay_traded, trigger
from bq.jobs.replay_ends import Alarmed
from bq.jobs.replaying import Replayed
from bq.monitoring.triggers import ENOUGH, OLD_DAYS
from bq.serving import bounds
from bq.stats.rank_ic import rank_ic
from bq.strategies.contract import Strategy
from bq.workbench import drifted, plots
from bq.workbench.phrases import counted, interval, most
from bq.workbench.table import table

INTRO = (
    "Each session is decided with the data of that day: outcomes are recorded once they are due, a retrain runs where "
    "a trigger holds, its gate decides, and what is deployed decides from the next scan on. Nothing of it touches the "
    "real champion, ledger or database."
)
Part = tuple[str, list[Any]]


def parts(made: Replayed, strategy: Strategy, settings: Settings) -> list[Part]:
    """The parts of the page."""
    return [
        ("What was replayed", [INTRO, _speed(made)]),
        ("What it earned", [_curve(made, strategy, settings), *_earned(made, settings)]),
        *([] if made.traded is None else replay_traded.parts(made.traded, settings)),
        *replay_recovery.parts(made, settings),
        ("Who decided", [_timeline(made), *_retirements(made)]),
        ("Every attempt", _attempts(made)),
        ("How far the triggers were", _distances(made, settings)),
        ("Predicted and realised, by model", _promises(made, strategy, settings)),
        ("Alarms", _alarms(made, settings)),
    ]


def _speed(made: Replayed) -> str:
    trained = sum(one.seconds for one in made.trained)
    traded = 0.0 if made.traded is None else made.traded.seconds
    decided = made.seconds - traded
    trading = f"{decimal(traded, 0)} s more for trading, " if made.traded else ""
    return (
        f"{decimal(decided, 0)} s for the decisions of {counted(made.days, 'day')} "
        f"({decimal(1000 * decided / max(made.days, 1), 0)} ms a day), {trading}{decimal(trained, 0)} s for "
        f"{counted(len(made.trained), 'attempt')}."
    )


def _curve(made: Replayed, strategy: Strategy, settings: Settings) -> Any:
    sums = made.earned.join(made.hindsight.select("session", hindsight="value"), on="session", how="left").select(
        "session",
        pl.col("system", "rule", "everything", "hindsight").fill_null(0.0).cum_sum(),
    )
    shown = sums.rename({"rule": "rule score", "everything": "every event", "hindsight": "best in hindsight"})
    return plots.lines(
        shown,
        "session",
        shown.columns[1:],
        title=f"Running sum of the {strategy.value.name(settings)}",
        x_title="session",
        y_title="sum of net outcomes",
    )


def _earned(made: Replayed, settings: Settings) -> list[Any]:
    """Mean net outcome a session of each choice, and the system's less it with its interval."""
    if made.earned.is_empty():
        return ["No session's events have all ended: nothing was earned yet."]
    blocks = bounds.blocks(made.events, settings, made.earned["session"])
    rows: list[dict[str, Any]] = []
    for name, told in {"system": "system", "rule": "rule score", "everything": "every event"}.items():
        own = made.earned[name].fill_null(0.0)
        ahead = blocks.mean((made.earned["system"].fill_null(0.0) - own).to_numpy())
        figures = (None,) * 4 if name == "system" else (ahead.mean, ahead.low, ahead.high, int(ahead.blocks))
        apart = dict(zip(("system less it", "low", "high", "blocks"), figures, strict=True))
        rows.append({"choice": told, "sessions": len(own), "mean a session": own.mean(), **apart})
    newest = made.earned["session"][-1]
    note = f"{_intervals(settings)} Counted are sessions whose events have all ended, up to {newest}."
    if set(made.earned["decided_by"]) == {Tier.RULE.label}:
        note += " No model decided on any of them: the system is the rule score."
    choice, did = made.hindsight["choice"][0], most(number(made.hindsight["value"].sum()))
    best = f"Best in hindsight is {choice}: the one choice that {did}, which nobody could know."
    return [table(pl.DataFrame(rows)), note, best]


def _intervals(settings: Settings) -> str:
    level = percent(1 - 2 * settings.gate.alpha)
    return f"{level} intervals by stationary bootstrap over sessions; –: fewer than five blocks."


def _timeline(made: Replayed) -> Any:
    """From when to when each model decided, and why it was deployed."""
    why: dict[str | None, str] = {model: one.headline for one in made.trained for model in one.deployed}
    retired = {one.session for one in made.retired}
    days = made.decided.group_by("session", "model_id").len("decisions").sort("session", "model_id", nulls_last=True)
    spells = days.group_by(pl.col("model_id").rle_id().alias("spell"), "model_id", maintain_order=True).agg(
        pl.col("session").min().alias("from"), pl.col("session").max().alias("to"), pl.col("decisions").sum()
    )
    rows = [
        {
            "decided by": model or Tier.RULE.label,
            "from": begun,
            "to": ended,
            "decisions": count,
            "because": "the model before was retired" if begun in retired else why.get(model, "no model was deployed"),
        }
        for _, model, begun, ended, count in spells.rows()
    ]
    return table(pl.DataFrame(rows)) if rows else "Nothing was decided."


def _retirements(made: Replayed) -> list[Any]:
    """The models that their errors refuted; nothing where none was."""
    if not made.retired:
        return []
    rows = [
        {"retired": one.model_id, "on": one.session, "more errors since about": one.changed} for one in made.retired
    ]
    note = (
        "A model whose errors of matured decisions are confirmed to be more than it promised stops deciding. From then "
        "on events since the estimated change alone train and are evidence."
    )
    return [table(pl.DataFrame(rows)), note]


def _attempts(made: Replayed) -> list[Any]:
    """Every attempt with its trigger and its verdict; those that had too few events."""
    rows = [
        {
            "session": one.session,
            "trigger": "; ".join(trigger.told(reason) for reason in one.why),
            "candidate": one.candidate.model_id,
            "deployed": ", ".join(one.deployed) or "no",
            "verdict": one.headline,
            "seconds": round(one.seconds),
        }
        for one in made.trained
    ]
    shown: list[Any] = [table(pl.DataFrame(rows))] if rows else ["No trigger held on any day."]
    if made.refused:
        (begun, why), last = made.refused[0], made.refused[-1][0]
        shown.append(f"{counted(len(made.refused), 'attempt')} from {begun} to {last} had too few events: {why}")
    return shown


def _distances(made: Replayed, settings: Settings) -> list[Any]:
    """New matured events and the champion's age by week, each as a share of what triggers a retrain."""
    if not made.distances:
        return ["No attempt came to a verdict, so that no trigger had a distance."]
    old = OLD_DAYS + settings.learning.newest_days
    rows = pl.DataFrame(
        {
            "session": [one.session for one in made.distances],
            "new matured events": [one.events / ENOUGH for one in made.distances],
            "age of the champion": [None if one.age is None else one.age / old for one in made.distances],
        },
        schema_overrides={"age of the champion": pl.Float64},
    )
    newest = made.distances[-1]
    age = "" if newest.age is None else f", and the champion's training had ended {newest.age:,} days before"
    text = (
        f"At 1 a retrain is triggered: {decimal(ENOUGH, 0)} matured events (effective number) that no attempt has "
        f"seen, or {old:,} days since the champion's training ended. Asked once a week; the last time, on "
        f"{newest.session}, there were {decimal(newest.events, 0)} such events{age}."
    )
    known = [name for name in rows.columns[1:] if rows[name].is_not_null().any()]
    drawn = plots.lines(rows, "session", known, title="Share of its limit", x_title="session", y_title="share")
    return [text, drawn]


def _promises(made: Replayed, strategy: Strategy, settings: Settings) -> list[Any]:
    """What each model predicted on average, and what came, with the interval of the difference."""
    known = made.decided.filter(pl.col("outcome").is_not_null(), pl.col("expected").is_not_null())
    if known.is_empty():
        return ["No decision of a model has an outcome yet."]
    classes = bool(strategy.task(settings).classes)
    rows = []
    for (model,), own in known.sort("session").group_by("model_id", maintain_order=True):
        rows.append({"model": model, "from": own["session"][0], "events": len(own), **_kept(own, settings, classes)})
    note = _intervals(settings)
    if not classes:
        note += (
            " Predictions are z-scores, which do not have the unit of an outcome: instead of means, the rank "
            "correlation of prediction and outcome within a session is shown beside that of the rule score."
        )
    return [table(pl.DataFrame(rows)), note]


def _kept(own: pl.DataFrame, settings: Settings, classes: bool) -> dict[str, Any]:
    """Of one model: two columns and their difference with its interval, means over sessions."""
    if classes:
        names = ("predicted", "realised")
        sessions = own.group_by("session").agg(predicted=pl.col("expected").mean(), realised=pl.col("outcome").mean())
        apart = sessions.sort("session").with_columns(value=pl.col("realised") - pl.col("predicted"))
    else:
        names = ("rank IC of the rule score", "rank IC")
        both = [rank_ic(own, by=by).rename({"ic": name}) for by, name in zip(("score", "expected"), names, strict=True)]
        apart = both[0].join(both[1], on="session").with_columns(value=pl.col(names[1]) - pl.col(names[0]))
    found = bounds.mean_of(apart, own, settings)
    return {
        "sessions": len(apart),
        **{name: apart[name].mean() for name in names},
        f"{names[1]} less {names[0]}": None if found is None else found.mean,
        "interval": "–" if found is None else interval(*found.ends),
        "blocks": None if found is None else found.blocks,
    }


def _alarms(made: Replayed, settings: Settings) -> list[Any]:
    """Every alarm raised, by kind and model: how often, when first, what it said, and whether rightly."""
    if not made.alarms:
        return ["No check raised an alarm."]
    weeks: dict[tuple[str, str | None], int] = {}
    said: dict[tuple[str, str | None], str] = {}
    for _, check in made.alarms:
        weeks[check.what, check.model_id] = weeks.get((check.what, check.model_id), 0) + 1
        said.setdefault((check.what, check.model_id), drifted.statement(check))
    rows = [
        {
            "kind": drifted.NAMES[one.what],
            "model": one.model_id,
            "first": one.session,
            "weeks": weeks[one.what, one.model_id],
            **_rightly(one, made, settings),
            "said first": said[one.what, one.model_id],
        }
        for one in made.alarmed
    ]
    note = (
        "With hindsight: what the model would have earned a session beyond the rule score from its first alarm to the "
        "end of the replay, also where it no longer decided. An alarm was right where the whole interval is below "
        "zero, false where it is above; else it cannot be told."
    )
    return [table(pl.DataFrame(rows)), note] if rows else ["No alarm was of a model."]


def _rightly(one: Alarmed, made: Replayed, settings: Settings) -> dict[str, Any]:
    found = bounds.mean_of(one.ahead, made.events, settings)
    low, high = (None, None) if found is None else found.ends
    right = "cannot be told"
    if low is not None and high is not None:
        right = "yes" if high < 0 else "no" if low > 0 else right
    return {
        "sessions after": len(one.ahead),
        "model less rule score after": None if found is None else found.mean,
        "interval": interval(low, high),
        "right": right,
    }
