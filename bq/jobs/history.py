"""`make history`: every attempt to train and every change of a champion, newest first; RUN= shows one in full."""

import datetime as dt
from typing import Any, NamedTuple

from bq import runs
from bq.jobs.request import Request
from bq.runs import Run
from bq.serving import journal, ledger, registry
from bq.workbench import screen

MARKS = {True: "yes", False: "NO ", None: "?  "}
CAUSES = {"data_hash": "data", "parameters": "parameters", "git": "code", "packages": "packages"}


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
    unrecorded = [run for run in made if run.info["run_id"] not in recorded]
    folders = {run.info["run_id"]: run for run in made}
    causes = _causes(made)
    found = [_attempt(row, folders.get(name), causes) for name, row in recorded.items()]
    found += [_ended(run, causes) for run in unrecorded]
    found += [_change(row) for row in journal.changes()]
    return sorted(found, key=lambda entry: entry.at, reverse=True)


def _attempt(row: dict[str, Any], run: Run | None, causes: dict[str, str]) -> Entry:
    verdict = row["verdict"] or {}
    parts = (
        row["run_id"],
        f"({_why(run, causes) if run else 'its folder is gone'})",
        screen.count(row["events"], "event"),
        _figures(verdict),
        verdict.get("headline", ""),
    )
    return Entry(row["finished_utc"], row["namespace"], row["decision"], " · ".join(filter(None, parts)))


def _why(run: Run, causes: dict[str, str]) -> str:
    """What made the run: the trigger in its record, or what was new in it."""
    return run.info.get("trigger") or causes[run.info["run_id"]]


def _ended(run: Run, causes: dict[str, str]) -> Entry:
    """A run that left a folder and no row: it failed, was cancelled, or another database is asked."""
    moment = dt.datetime.fromisoformat(run.info.get("finished_utc") or run.info["started_utc"])
    parts = (run.info["run_id"], f"({_why(run, causes)})", run.info.get("error") or run.info.get("headline"))
    text = " ".join(" · ".join(filter(None, parts)).split())
    return Entry(moment, run.info["strategy"], run.info["status"], text)


def _change(row: dict[str, Any]) -> Entry:
    now, before = (_name(row[column]) for column in ("model_id", "previous"))
    text = f"{now} instead of {before}: {row['reason']}" + (f" ({row['run_id']})" if row["run_id"] else "")
    return Entry(row["at_utc"], row["namespace"], "champion", text)


def _name(model_id: str | None) -> str:
    return "the rule score" if model_id in (None, registry.NONE) else model_id


def _figures(verdict: dict[str, Any]) -> str:
    """The figure that the gate decides by: the candidate's, with its interval, and the rule score's."""
    rows = [row for row in (verdict.get("table") or {}).get("rows", []) if len(row) > 2 and "rule score" in row[2]]
    return f"{rows[-1][0]}: {rows[-1][1]} against {rows[-1][2]}" if rows else ""


def _causes(made: list[Run]) -> dict[str, str]:
    """What was new in each run against the one before it on its namespace: data, parameters, code, packages."""
    found = {}
    for place, run in enumerate(made):  # newest first
        before = next((other for other in made[place + 1 :] if other.info["strategy"] == run.info["strategy"]), None)
        if before is None:
            found[run.info["run_id"]] = "first run"
            continue
        new = [word for name, word in CAUSES.items() if before.info.get(name) != run.info.get(name)]
        found[run.info["run_id"]] = f"new: {', '.join(new)}" if new else "nothing new"
    return found


def details(run: Run) -> str:
    """One run in full: what was new, the figures, every component of the verdict, warnings, what it deployed."""
    info, verdict = run.info, run.verdict
    lines = [f"{screen.BOLD}{info['run_id']}  {info['status']}{screen.PLAIN}", str(info.get("title") or "")]
    lines += [f"error       {info['error']}"] if info.get("error") else []
    lines += [f"trigger     {info['trigger']}"] if info.get("trigger") else []
    lines += [f"new         {change}" for change in info.get("changes", [])]
    if verdict:
        lines += [f"verdict     {verdict['headline']}"]
        for part in verdict["components"]:
            needed = f" (needs {part['needed']})" if part["needed"] else ""
            lines.append(f"            {MARKS[part['holds']]} {part['name']}: {part['statement']}{needed}")
        table = verdict.get("table") or {"columns": [], "rows": []}
        lines += ["figures     " + " | ".join(row) for row in [table["columns"], *table["rows"]] if row]
        lines += [f"second tier {text}" for text in verdict.get("second_tier", [])]
    lines += [f"warning     {warning}" for warning in info.get("warnings", [])]
    changes = [_change(row) for row in journal.changes(run_id=info["run_id"])]
    lines += [f"champion    {change.namespace}: {change.text}" for change in changes]
    lines.append(f"report      {screen.shown(run.report)}")
    return "\n".join(lines)
