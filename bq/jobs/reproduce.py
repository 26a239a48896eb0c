"""`make reproduce RUN=<id>`: a retrain made again from its record, in a world of its own, and held against it."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from pydantic import ValidationError

from bq import runs, strategies
from bq.core import files, params, paths, world
from bq.core.errors import BadData, BadParameters
from bq.core.log import stage
from bq.core.namespace import Namespace
from bq.core.numerals import significant, stated
from bq.core.scalars import number
from bq.core.settings import Settings
from bq.jobs import attempt, diff, presentation, retrain, trades, trigger
from bq.jobs.attempt import Attempt
from bq.jobs.request import Request
from bq.jobs.run import protocol
from bq.market import prints
from bq.runs import Run, write
from bq.runs import folder as names
from bq.runs.record import GOOD, Cause, Job, RunRecord
from bq.runs.verdict import Verdict
from bq.serving import candidate, journal, ledger, registry
from bq.serving.model_records import Pointer
from bq.serving.registry import Artefact
from bq.strategies import store
from bq.workbench import page, screen
from bq.workbench.phrases import counted

SHOWN = 10  # bars


class Past(NamedTuple):
    """What an attempt found: the looks before it, and the changes of both pointers, oldest first."""

    looks: list[dict[str, Any]]
    changes: list[dict[str, Any]]


class Line(NamedTuple):
    """One thing that was compared."""

    what: str
    same: bool
    text: str


def main(request: Request) -> None:
    """Make a retrain again and say "identical", or which of its inputs differ and what that changed."""
    run = runs.load(request.run_id) if request.run_id else runs.latest(str(request.settings.namespace), job=Job.RETRAIN)
    settings = _settings(run)
    past, models = _past(run, settings.namespace), paths.home() / "models"
    with world.own() as home:
        _put(past, models, settings.namespace)
        again = _again(run, settings, request)
        lines = [*_inputs(run, again), *_results(run, again)]
        parts = [("Compared", _text(lines)), *diff.compare(run, again)]
        shutil.rmtree(home / "models", ignore_errors=True)
    target = paths.outputs() / "reproductions" / f"{run.folder.name}.html"
    title = f"{run.folder.name}, made again"
    page.write(target, title=title, source=run.record.source or "real", parts=parts)
    screen.show("\n".join(_text(lines)))
    screen.show(screen.where("report", target))


def _settings(run: Run) -> Settings:
    record = run.record
    if record.job != Job.RETRAIN or record.status not in GOOD or run.verdict is None:
        raise BadParameters(
            f"RUN must be a retrain that came to a verdict, but {run.folder.name} is a {record.job} that ended as "
            f"{record.status}. `make history` lists them."
        )
    namespace = Namespace.parse(record.namespace)
    try:
        return strategies.get(namespace.strategy).settings.recorded(record.parameters)
    except (ValidationError, BadParameters) as error:
        raise BadData(
            f"run {run.folder.name}: its parameters must be known to this version, but are not: {error}"
        ) from None


def _past(run: Run, namespace: Namespace) -> Past:
    """What stood in ledger and journal when the run began: by the runs' sequence, of a change by hand by its time."""
    number = {one.folder.name: one.record.sequence for one in runs.every()}
    own, began = run.record.sequence, run.record.started_utc
    changes = []
    for row in reversed([*journal.changes(namespace), *journal.changes(namespace.second)]):
        made_by = number.get(row["run_id"] or "")
        earlier = made_by < own if made_by is not None else began is not None and row["at_utc"] < began
        if row["run_id"] != run.folder.name and earlier:
            changes.append(row)
    return Past(ledger.until(run.folder.name), sorted(changes, key=lambda row: row["id"]))


def _put(past: Past, models: Path, namespace: Namespace) -> None:
    """Let this world be as the other was then: its ledger, its journal, its models, and the pointers to them."""
    ledger.copied(past.looks)
    for whose in (namespace, namespace.second):
        changes = [row for row in past.changes if row["namespace"] == str(whose)]
        for row in changes:
            journal.enter(whose, **{name: row[name] for name in row if name not in ("id", "namespace")})
            stored = models / str(whose) / row["model_id"]
            if stored.is_dir():
                shutil.copytree(stored, paths.models(whose) / row["model_id"], dirs_exist_ok=True)
        if changes and changes[-1]["model_id"] != registry.NONE:
            last = changes[-1]
            pointer = Pointer(
                model_id=last["model_id"],
                previous=last["previous"],
                since_utc=last["at_utc"].replace(microsecond=0),
                reason=last["reason"],
            )
            pointer.write(paths.models(whose) / registry.POINTER)


def _again(run: Run, settings: Settings, request: Request) -> Run:
    """The attempt once more, in the folder of a run of this world."""
    strategy = strategies.of(settings)
    with stage("events"):
        data = store.market_data(settings)
        collection = store.collect(strategy, settings, data)
    folder = names.final(run.folder.name)
    folder.mkdir(parents=True)
    with stage("training"):
        made = candidate.train(collection.events, strategy, settings, folder)
    forced = any(one.kind == Cause.FORCED for one in run.record.triggers)
    asked = Attempt(made, collection.events, data, strategy, settings, run.folder.name, force=forced)
    attempt.enter(asked)
    with stage("gate"):
        answer = attempt.judge(asked)
    asked_of = request._replace(strategy=strategy, settings=settings, quick=False)
    write.verdict(folder, presentation.present(answer.ours, answer.second, made, asked_of))
    trades.save(made, collection.events, folder, strategy=strategy, settings=settings)
    files.write_parquet(names.table(folder, retrain.BARS), prints.of_bars(data.bars))
    told = {"git": protocol.git_state(), "packages": protocol.packages(), "data_hash": data.data_hash}
    return Run(folder, run.record.model_copy(update=told))


def _inputs(run: Run, again: Run) -> list[Line]:
    """The data and the code that both were made of; the parameters are the same."""
    before, now = run.record, again.record
    lines = [Line("data", before.data_hash == now.data_hash, _revised(run, again))]
    causes = {Cause.CODE: "code", Cause.PACKAGES: "packages"}
    different = trigger.differing(before, now)
    texts = {
        Cause.CODE: f"{_commit(before)} then, {_commit(now)} now",
        Cause.PACKAGES: ", ".join(
            f"{name} {stated(old)} → {stated(new)}"
            for name, old, new in params.differences(before.packages, now.packages)
        ),
    }
    lines += [Line(name, kind not in different, texts[kind]) for kind, name in causes.items()]
    then, today = (_artefact(one).bundle.registered for one in (run, again))
    changed = sorted(name for name in {*then, *today} if then.get(name) != today.get(name))
    return [*lines, Line("own features", not changed, f"changed files of {', '.join(changed)}")]


def _commit(record: RunRecord) -> str:
    sha = record.git.sha or "no commit"
    return f"{sha[:12]}{' with changes' if record.git.dirty else ''}"


def _revised(run: Run, again: Run) -> str:
    """Which bars are not what they were."""
    if not names.table(run.folder, retrain.BARS).is_file():
        return "other data; the run was recorded without fingerprints of its bars"
    changed = prints.revised(run.frame(retrain.BARS), again.frame(retrain.BARS))
    if changed.is_empty():
        return "the bars are the same; option quotes or sectors differ"
    shown = ", ".join(f"{symbol} {session} {how}" for symbol, session, how in changed.head(SHOWN).rows())
    return f"{counted(len(changed), 'bar')}: {shown}{', …' if len(changed) > SHOWN else ''}"


def _results(run: Run, again: Run) -> list[Line]:
    """Events, predictions, models, verdict."""
    first, second = _artefact(run), _artefact(again)
    events = first.bundle.events_hash == second.bundle.events_hash
    lines = [Line("events", events, "their features, outcomes or number differ")]
    lines.append(_predictions(run.frame("oos"), again.frame("oos")))
    lines.append(Line("model", first.model_id == second.model_id, f"{first.model_id} then, {second.model_id} now"))
    before, now = run.verdict, again.verdict
    if before is not None and now is not None:
        moved = _moved(before, now)
        same = before.decision == now.decision and not moved
        lines.append(
            Line("verdict", same, f"{before.decision} then, {now.decision} now; other figures of {', '.join(moved)}")
        )
    return lines


def _artefact(run: Run) -> Artefact:
    return candidate.load(run.folder).artefact


def _predictions(before: pl.DataFrame, now: pl.DataFrame) -> Line:
    if before.equals(now):
        return Line("predictions", True, "")
    both = before.join(now, on=["model", "event_id"], suffix="_now")
    moved = both.filter(pl.col("expected").ne_missing(pl.col("expected_now")))
    ended = both.filter(pl.col("outcome").ne_missing(pl.col("outcome_now")))
    text = f"{len(before):,} then, {len(now):,} now, {len(both):,} in both: {len(moved):,} predicted differently"
    if len(moved):
        largest = number((moved["expected"] - moved["expected_now"]).abs().max())
        text += f" (by up to {significant(largest, 2)})"
    return Line("predictions", False, f"{text}, {len(ended):,} with another outcome")


def _moved(before: Verdict, now: Verdict) -> list[str]:
    """Components whose figures are not what they were, by their names."""
    sides = [{part.name: part.facts for part in (*one.components, *one.second_components)} for one in (before, now)]
    return [name for name in dict.fromkeys([*sides[0], *sides[1]]) if sides[0].get(name) != sides[1].get(name)]


def _text(lines: list[Line]) -> list[str]:
    differing = [line.what for line in lines if not line.same]
    head = "identical" if not differing else f"not identical: {', '.join(differing)}"
    each = [f"{line.what:<11} {'the same' if line.same else line.text}" for line in lines]
    return [head, *each]
