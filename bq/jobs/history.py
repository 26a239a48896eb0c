"""`make history`: every attempt to train and every change of a champion, newest first; RUN= shows one in full."""

import datetime as dt
from typing import Any, NamedTuple

from bq import runs
from bq.jobs import trigger
from bq.jobs.request import Request
from bq.runs import Run
from bq.runs.verdict import Verdict
from bq.serving import journal, ledger, registry
from bq.workbench import screen
from bq.workbench.phrases import counted, figure_text

Place = tuple[Any, ...]  # sorts: a time, and numbers where the clock says nothing


class Entry(NamedTuple):
    """One line of the history."""

    at: dt.datetime  # UTC
    namespace: str
    what: str  # deployed, kept, failed, cancelled; champion for a change of the pointer
    text: str


def main(request: Request) -> None:
    """All attempts and changes of champions of every namespace, or one attempt in full."""
    if request.run_id:
        screen.show(details(runs.load(request.run_id)))
        return
    found = entries()
    lines = [f"{entry.at:%Y-%m-%d %H:%M}  {entry.namespace:<20}  {entry.what:<9}  {entry.text}" for entry in found]
    screen.show("\n".join(lines) or "nothing yet: `make retrain` makes the first attempt")
    if lines:
        screen.show("one attempt in full: make history RUN=<the beginning of its id>")


def entries() -> list[Entry]:
    """Attempts (recorded, and run folders of those that ended before it) and changes of champions, newest first."""
    made = runs.every(job="retrain")
    recorded = {row["run_id"]: row for row in ledger.every_attempt()}
    unrecorded = [run for run in made if run.record.run_id not in recorded]
    folders = {run.record.run_id: run for run in made}
    causes = _causes(made)
    ended = {run.record.run_id: _ended(run, causes) for run in unrecorded}
    tried = {name: _attempt(row, folders.get(name), causes) for name, row in recorded.items()}
    every = ended | tried
    places = _places({run.record.run_id: every[run.record.run_id].at for run in reversed(made)}, {})
    places |= _places({name: entry.at for name, entry in tried.items()}, places)
    changes = {row["id"]: row for row in reversed(journal.changes())}
    made_by = {number: (*places[row["run_id"]], number) for number, row in changes.items() if row["run_id"] in places}
    moved = _places({number: row["at_utc"] for number, row in changes.items()}, made_by)
    found = [(places[name], entry) for name, entry in every.items()]
    found += [(moved[number], _change(row)) for number, row in changes.items()]
    return [entry for _, entry in sorted(found, key=lambda pair: pair[0], reverse=True)]


def _places(moments: dict[Any, dt.datetime], known: dict[Any, Place]) -> dict[Any, Place]:
    """Where each record of one kind belongs, given in their order: none before the last, whatever the clock said.

    known : the places of some of them, by records of another kind.
    """
    found: dict[Any, Place] = {}
    last: Place = (dt.datetime.min.replace(tzinfo=dt.UTC), 0)
    for name, moment in moments.items():
        after = (moment, 0) if moment > last[0] else (*last[:-1], last[-1] + 1)
        found[name] = last = known.get(name, after)
    return found


def _attempt(row: dict[str, Any], run: Run | None, causes: dict[str, str]) -> Entry:
    verdict = Verdict.of(row["verdict"], what=f"attempt {row['run_id']}: its verdict") if row["verdict"] else None
    parts = (
        row["run_id"],
        f"({_why(run, causes) if run else 'its folder is gone'})",
        counted(row["events"], "event"),
        figure_text(verdict.figure) if verdict and verdict.figure else "",
        verdict.headline if verdict else "",
    )
    return Entry(row["finished_utc"], row["namespace"], row["decision"], " · ".join(filter(None, parts)))


def _why(run: Run, causes: dict[str, str]) -> str:
    """What made the run: the trigger in its record, or what was new in it."""
    return run.record.why or causes[run.record.run_id]


def _ended(run: Run, causes: dict[str, str]) -> Entry:
    """A run that left a folder and no row: it failed, was cancelled, or another database is asked."""
    record = run.record
    moment = record.finished_utc or record.started_utc or dt.datetime.min.replace(tzinfo=dt.UTC)
    parts = (record.run_id, f"({_why(run, causes)})", record.error or record.headline)
    text = " ".join(" · ".join(filter(None, parts)).split())
    return Entry(moment, record.namespace, record.status, text)


def _change(row: dict[str, Any]) -> Entry:
    now, before = (_name(row[column]) for column in ("model_id", "previous"))
    text = f"{now} instead of {before}: {row['reason']}" + (f" ({row['run_id']})" if row["run_id"] else "")
    return Entry(row["at_utc"], row["namespace"], "champion", text)


def _name(model_id: str | None) -> str:
    return "the rule score" if model_id in (None, registry.NONE) else model_id


def _causes(made: list[Run]) -> dict[str, str]:
    """What was new in each run against the one before it on its namespace: data, parameters, code, packages."""
    found = {}
    for place, run in enumerate(made):  # newest first
        record, earlier = run.record, made[place + 1 :]
        before = next((other.record for other in earlier if other.record.namespace == record.namespace), None)
        new = [] if before is None else trigger.differing(before, record)
        found[record.run_id] = "first run" if before is None else f"new: {', '.join(new)}" if new else "nothing new"
    return found


def details(run: Run) -> str:
    """One run in full: what was new, the figures, every component of the verdict, warnings, what it deployed."""
    record, verdict = run.record, run.verdict
    lines = [f"{screen.BOLD}{record.run_id}  {record.status}{screen.PLAIN}", record.title]
    lines += [f"error       {record.error}"] if record.error else []
    lines += [f"trigger     {reason.text}" for reason in record.triggers]
    lines += [f"new         {change}" for change in record.changes]
    if verdict:
        lines += [f"verdict     {verdict.headline}"]
        for part in verdict.components:
            needed = f" (needed: {part.needed})" if part.needed else ""
            lines.append(f"            {screen.component(part)}{needed}")
        lines += ["figures     " + " | ".join(row) for row in [verdict.table.columns, *verdict.table.rows] if row]
        lines += [f"second tier {text}" for text in verdict.second_tier]
    lines += [f"warning     {warning}" for warning in record.warnings]
    changes = [_change(row) for row in journal.changes(run_id=record.run_id)]
    lines += [f"champion    {change.namespace}: {change.text}" for change in changes]
    lines.append(screen.where("report", run.report))
    return "\n".join(lines)
