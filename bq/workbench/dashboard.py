"""The index page over all runs: champions on top, then every run, newest first."""

import datetime as dt
import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from bq.core import files, paths
from bq.core.errors import BadData
from bq.runs import read
from bq.runs.read import Run
from bq.runs.record import Status
from bq.serving.model_records import Pointer
from bq.strategies.events import NOTICES
from bq.workbench.glossary import Linker
from bq.workbench.phrases import figure_text, undone
from bq.workbench.report import COLOURS, TEMPLATES, content_hash, environment

TITLE = re.compile(r"<title>([^<]*)</title>")
HEAD = 4096  # characters in which a page's title stands


def write_index(champions: list[tuple[str, Pointer]], rolled_back: Mapping[str, dt.datetime]) -> None:
    """Write `outputs/index.html`, atomically: a line for each run, also for one that cannot be read.

    champions : each with its namespace. rolled_back : the runs whose deployment was, and when.
    """
    runs = [_line(folder, run) for folder, run in read.each()]
    for run in runs:
        if run["folder"] in rolled_back:
            run |= {"shown": undone(run["status"], rolled_back[run["folder"]]), "colour": COLOURS["rolled back"]}
    page = environment().get_template("index.html.j2")
    script = (TEMPLATES / "index.js").read_text("utf-8")
    own = {"script": Markup(script), "allowed": Markup(content_hash(script))}
    links = [(title, found) for folder, title in PAGES.items() if (found := _pages(folder))]
    text = page.render(runs=runs, links=links, champions=champions, notices=NOTICES, terms=Linker(), **own)
    files.write_text(paths.outputs() / "index.html", text)


PAGES = {
    "scans": "Scans",
    "explanations": "Explained events",
    "diffs": "Runs compared",
    "evaluations": "Champions on what they never saw",
    "calibration": "Calibration of the whole pipeline",
}  # by folder of outputs/
NEWEST = 12  # of each kind


class Link(NamedTuple):
    """A page of outputs/."""

    address: str
    name: str


def _pages(folder: str) -> list[Link]:
    """The newest pages of a folder, by when they were written."""
    found = sorted((paths.outputs() / folder).glob("[!.]*.html"), key=lambda page: page.stat().st_mtime, reverse=True)
    return [Link(f"{folder}/{page.name}", _title(page)) for page in found[:NEWEST]]


def _title(page: Path) -> str:
    """The title of a page that we wrote; its name where it has none."""
    with page.open(encoding="utf-8") as text:
        found = TITLE.search(text.read(HEAD))
    return html.unescape(found[1]) if found else page.stem


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
            "shown": _decided(run),
            "colour": COLOURS.get(_decided(run), "grey"),
            "report": run.report.is_file(),
            **_figure(run),
        }
    )


def _decided(run: Run) -> str:
    """The status of a run; where it only says that the run came to its end, what was decided."""
    if run.record.status != Status.DONE:
        return run.record.status
    try:
        return run.verdict.decision if run.verdict else run.record.status
    except BadData:
        return run.record.status


def _figure(run: Run) -> dict[str, Any]:
    """What the candidate of a run earned, with its interval and its baseline; empty where no gate judged one."""
    try:
        figure = run.verdict.figure if run.verdict else None
    except BadData:
        return {"figure": "verdict.json cannot be read"}
    return {"figure": figure_text(figure), "net": figure.value} if figure else {}
