"""The index page over all runs: champions on top, then every run, newest first."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from bq.core import files, paths
from bq.core.errors import BadData
from bq.runs import read
from bq.runs.read import Run
from bq.serving.model_records import Pointer
from bq.strategies.events import NOTICES
from bq.workbench.glossary import Linker
from bq.workbench.phrases import figure_text, undone
from bq.workbench.report import COLOURS, TEMPLATES, content_hash, environment


def write_index(champions: list[tuple[str, Pointer]], rolled_back: Mapping[str, dt.datetime]) -> None:
    """Write `outputs/index.html`, atomically: a line for each run, also for one that cannot be read.

    champions : each with its namespace. rolled_back : the runs whose deployment was, and when.
    """
    runs = [_line(folder, run) for folder, run in read.each()]
    for run in runs:
        if run["folder"] in rolled_back:
            run["shown"] = undone(run["status"], rolled_back[run["folder"]])
    page = environment().get_template("index.html.j2")
    script = (TEMPLATES / "index.js").read_text("utf-8")
    own = {"script": Markup(script), "allowed": Markup(content_hash(script))}
    text = page.render(runs=runs, champions=champions, colours=COLOURS, notices=NOTICES, terms=Linker(), **own)
    files.write_text(paths.outputs() / "index.html", text)


def _line(folder: Path, run: Run | BadData) -> dict[str, Any]:
    """One line of the table."""
    shown = {"folder": folder.name}
    if isinstance(run, BadData):
        return shown | {"status": "unreadable", "headline": str(run), "report": False}
    names = ("started_utc", "namespace", "job", "status", "title", "source")
    headline = run.record.error or run.record.headline
    return (
        shown
        | {name: getattr(run.record, name) for name in names}
        | {
            "headline": headline,
            "report": run.report.is_file(),
            **_figure(run),
        }
    )


def _figure(run: Run) -> dict[str, Any]:
    """What the candidate of a run earned, with its interval and its baseline; empty where no gate judged one."""
    try:
        figure = run.verdict.figure if run.verdict else None
    except BadData:
        return {"figure": "verdict.json cannot be read"}
    return {"figure": figure_text(figure), "net": figure.value} if figure else {}
