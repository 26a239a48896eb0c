"""`make replay FROM= TO=`: what would have been deployed when, and what came of it, day by day over history."""

import datetime as dt
from typing import Any

import polars as pl

from bq.core import files, world
from bq.core.errors import BadParameters
from bq.core.namespace import Tier
from bq.core.numerals import decimal, percent, with_sign
from bq.core.scalars import day
from bq.core.settings import Settings
from bq.jobs import replaying, trigger
from bq.jobs.replaying import Replayed
from bq.jobs.request import Request, date
from bq.jobs.run import protocol
from bq.jobs.run.protocol import Run
from bq.runs import folder as names
from bq.runs.record import Job
from bq.serving import bounds
from bq.strategies import store
from bq.strategies.events import weakest_source
from bq.workbench import drifted, plots, screen
from bq.workbench.phrases import counted
from bq.workbench.table import table

YEARS = 3  # replayed where FROM is not given
WORLD = "world"  # folder in that of the run
INTRO = (
    "Each session is decided with the data of that day: outcomes are recorded once they are due, a retrain runs where "
    "a trigger holds, its gate decides, and what is deployed decides from the next scan on. Nothing of it touches the "
    "real champion, ledger or database."
)


def main(request: Request) -> None:
    """Replay, and show what became of it."""
    settings = request.settings
    with protocol.lock(settings.namespace):
        run = Run(settings, job=Job.REPLAY)
        folder = protocol.perform(run, lambda under_way: _work(under_way, request))
    screen.show(f"{run.record.title}\n{run.record.headline}")
    screen.show(f"report      {screen.shown(folder / names.REPORT)}")


def _work(run: Run, request: Request) -> None:
    strategy, settings = request.strategy, request.settings
    with run.phase("market data"):
        data = store.market_data(settings)
    newest = day(data.bars["session"].max())
    last = min(date("TO") or newest, newest)
    first = date("FROM") or last - dt.timedelta(days=365 * YEARS)
    if first > last:
        raise BadParameters(f"FROM must not be after the last session with bars, {newest}, but is {first}.")
    with run.phase("replay"), world.own(run.folder / WORLD):
        made = replaying.replay(strategy, settings, data, first, last)
    run.record.data_hash = data.data_hash
    run.record.source = weakest_source(made.events)
    run.record.title = f"{settings.namespace} · replay of {made.days:,} sessions, {first} to {last}"
    run.record.headline = _headline(made)
    for name in ("decided", "earned", "hindsight"):
        files.write_parquet(names.table(run.folder, name), getattr(made, name))
    run.page = _parts(made, settings)


def _headline(made: Replayed) -> str:
    deployed = sum(bool(one.deployed) for one in made.trained)
    total = made.earned.select(pl.col("system", "rule", "everything").sum()).row(0)
    return (
        f"{counted(len(made.trained), 'attempt')}, {deployed} deployed; sum of net outcomes: system "
        f"{with_sign(total[0], 2)}, rule score {with_sign(total[1], 2)}, every event {with_sign(total[2], 2)}, over "
        f"{counted(len(made.earned), 'session')}"
    )


def _parts(made: Replayed, settings: Settings) -> list[tuple[str, list[Any]]]:
    return [
        ("What was replayed", [INTRO, _speed(made)]),
        ("What it earned", [_curve(made), *_earned(made, settings)]),
        ("Who decided", [_timeline(made)]),
        ("Every attempt", _attempts(made)),
        ("Predicted and realised, by model", [_promises(made)]),
        ("Alarms", [_alarms(made)]),
    ]


def _speed(made: Replayed) -> str:
    trained = sum(one.seconds for one in made.trained)
    per_day = 1000 * made.seconds / max(made.days, 1)
    return (
        f"{decimal(made.seconds, 0)} s for {counted(made.days, 'day')} without retrains ({decimal(per_day, 0)} ms a "
        f"day), {decimal(trained, 0)} s for {counted(len(made.trained), 'attempt')}."
    )


def _curve(made: Replayed) -> Any:
    sums = made.earned.join(made.hindsight.select("session", hindsight="value"), on="session", how="left").select(
        "session",
        pl.col("system", "rule", "everything", "hindsight").fill_null(0.0).cum_sum(),
    )
    choice = made.hindsight["choice"][0] if len(made.hindsight) else "none"
    shown = sums.rename(
        {"rule": "rule score", "everything": "every event", "hindsight": f"hindsight best ({choice}; nobody knew)"}
    )
    return plots.lines(
        shown,
        "session",
        shown.columns[1:],
        title="Running sum of net outcomes a session",
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
        figures = (None,) * 4 if name == "system" else (ahead.mean, ahead.low, ahead.high, ahead.blocks)
        apart = dict(zip(("system less it", "low", "high", "blocks"), figures, strict=True))
        rows.append({"choice": told, "sessions": len(own), "mean a session": own.mean(), **apart})
    note = f"{percent(1 - 2 * settings.gate.alpha)} intervals by stationary bootstrap over sessions."
    return [table(pl.DataFrame(rows)), note]


def _timeline(made: Replayed) -> Any:
    """From when to when each model decided, and why it was deployed."""
    made_in = {model: one for one in made.trained for model in one.deployed}
    days = made.decided.group_by("model_id").agg(
        pl.col("session").min().alias("from"), pl.col("session").max().alias("to"), decisions=pl.len()
    )
    rows = [
        {
            "decided by": model or Tier.RULE.label,
            "from": begun,
            "to": ended,
            "decisions": count,
            "deployed because": made_in[model].headline if model in made_in else "no model was deployed",
        }
        for model, begun, ended, count in days.sort("from").rows()
    ]
    return table(pl.DataFrame(rows)) if rows else "Nothing was decided."


def _attempts(made: Replayed) -> list[Any]:
    """Every attempt with its trigger and its verdict; those that had too few events."""
    rows = [
        {
            "session": one.session,
            "trigger": "; ".join(trigger.told(reason) for reason in one.why),
            "candidate": one.candidate.model_id,
            "deployed": ", ".join(one.deployed) or "no",
            "verdict": one.headline,
            "seconds": one.seconds,
        }
        for one in made.trained
    ]
    shown: list[Any] = [table(pl.DataFrame(rows))] if rows else ["No trigger held on any day."]
    if made.refused:
        (begun, why), last = made.refused[0], made.refused[-1][0]
        shown.append(f"{counted(len(made.refused), 'attempt')} from {begun} to {last} had too few events: {why}")
    return shown


def _promises(made: Replayed) -> Any:
    """What each model predicted on average, and what came."""
    known = made.decided.filter(pl.col("outcome").is_not_null(), pl.col("expected").is_not_null())
    if known.is_empty():
        return "No decision of a model has an outcome yet."
    means = known.group_by("model_id", "session").agg(pl.col("expected", "outcome").mean(), n=pl.len())
    each = means.group_by("model_id").agg(
        pl.col("session").min().alias("from"),
        events=pl.col("n").sum(),
        sessions=pl.len(),
        predicted=pl.col("expected").mean(),
        realised=pl.col("outcome").mean(),
    )
    apart = (pl.col("realised") - pl.col("predicted")).alias("realised less predicted")
    return table(each.sort("from").with_columns(apart))


def _alarms(made: Replayed) -> Any:
    """Every alarm raised, by kind and model: how often, when first, and what it said then."""
    if not made.alarms:
        return "No check raised an alarm."
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for session, check in made.alarms:
        key = (check.what, check.model_id or Tier.RULE.label)
        row = rows.setdefault(
            key,
            {
                "kind": drifted.NAMES[check.what],
                "model": key[1],
                "first": session,
                "weeks": 0,
                "said first": drifted.statement(check),
            },
        )
        row["weeks"] += 1
    return table(pl.DataFrame(list(rows.values())))
