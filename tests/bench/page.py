"""What a bench leaves: a table on the terminal, one JSON a run, one page over all of them."""

from pathlib import Path
from typing import Any

from bq.core import files, paths
from bq.core.log import log
from bq.workbench import screen
from bq.workbench.shell import environment
from tests.bench.row import Row, duration

TEMPLATE = Path(__file__).with_name("bench.html.j2")

SHOWN = 12  # earlier runs on the page


def folder() -> Path:
    """Where benches are kept."""
    return paths.outputs() / "bench"


def save(found: dict[str, Any]) -> Path:
    """Write `<stamp>.json` and the page over all runs, each atomically; return the page's path."""
    files.write_json(folder() / f"{found['stamp']}.json", found)
    page = folder() / "index.html"
    runs = history()
    table = [{"name": name, "cells": [_cell(run, name) for run in runs]} for name in _names(runs)]
    text = environment().from_string(TEMPLATE.read_text()).render(found=found, runs=runs, table=table)
    files.write_text(page, text)
    return page


def history() -> list[dict[str, Any]]:
    """The newest runs that can be read, newest first."""
    runs = []
    for path in sorted(folder().glob("[0-9]*Z.json"), reverse=True):
        try:
            run = files.read_json(path)
            run = {name: run[name] for name in ("stamp", "started_utc", "size", "machine", "rows")}
        except (OSError, ValueError, TypeError, LookupError):
            log.warning("bench: %s is no record of a bench and is left out", path.name)
            continue
        runs.append(run)
    return runs[:SHOWN]


def _names(runs: list[dict[str, Any]]) -> list[str]:
    """Names of all rows, those of the newest run first."""
    return list(dict.fromkeys(row["name"] for run in runs for row in run["rows"]))


def _cell(run: dict[str, Any], name: str) -> dict[str, str]:
    """A row's own figure in one run, and the colour that says how the row stood."""
    row = next((row for row in run["rows"] if row["name"] == name), None)
    if row is None:
        return {"figure": "", "colour": ""}
    if not row["goals"]:
        return {"figure": row["verdict"], "colour": "grey"}
    own, *others = row["goals"]
    held = "green" if all(goal["holds"] for goal in others) else "amber"
    return {"figure": own["figure"], "colour": held if own["holds"] else "red"}


def table(rows: list[Row], machine: dict[str, Any]) -> str:
    """The rows as a table of fixed width."""
    head = f"{'':<33}{'peer':<26}{'its time':>9}{'ours':>9}{'figure':>10}  {'goal':<10}"
    lines = [f"{screen.BOLD}{head}{screen.PLAIN}"]
    for row in rows:
        lines += _lines(row)
    packages = machine["packages"]
    lines += [
        "",
        f"{machine['cores']} cores ({machine['workers']} workers), {machine['processor']}, load {machine['load']}, "
        f"Python {machine['python']}, numpy {packages['numpy']}, polars {packages['polars']}; medians, warm; "
        "a missed goal is no failure",
    ]
    return "\n".join(lines)


def line(row: Row) -> str:
    """What is said of a row once it is measured."""
    if row.left_out:
        return f"{row.name}: left out"  # why was said when it happened
    peer = f"{row.peer} {duration(row.peer_seconds)}, " if row.peer else ""
    goals = "; ".join(f"{goal.what} {goal.figure} (goal {goal.wanted})" for goal in row.goals)
    return f"{row.name}: {peer}ours {duration(row.ours_seconds)}; {goals}: {row.verdict}"


def _lines(row: Row) -> list[str]:
    """The row's own figure, below it what else must hold, then the sizes."""
    if row.left_out:
        return [f"{row.name:<33}left out: {row.left_out}"]
    times = f"{_cut(row.peer, 25):<26}{duration(row.peer_seconds):>9}{duration(row.ours_seconds):>9}"
    lines = []
    for place, goal in enumerate(row.goals):
        start = f"{_cut(row.name, 32):<33}{times}" if place == 0 else f"{'':<33}{goal.what:<44}"
        mark = "ok" if goal.holds else f"{screen.RED}short{screen.PLAIN}"
        lines.append(f"{start}{goal.figure:>10}  {goal.wanted:<10}{mark}")
    return [*lines, f"  {row.n}; {row.repeats} repeats"]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
