"""The dashboard, outputs/index.html: how each namespace stands, then every run, newest first, and the other pages."""

import datetime as dt
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from bq.core import files, paths
from bq.core.errors import BadData
from bq.runs import folder as names
from bq.runs.read import Run
from bq.runs.record import Status
from bq.strategies.events import NOTICES
from bq.workbench import judged, standing_card
from bq.workbench.glossary import Linker
from bq.workbench.judged import Judged
from bq.workbench.phrases import figure_text, undone
from bq.workbench.shell import COLOURS, TEMPLATES, content_hash, environment
from bq.workbench.standing import Standing

TITLE = re.compile(r"<title>([^<]*)</title>")
DIGEST = re.compile(r'<meta name="digest" content="([0-9a-f]*)">')  # of the page without it
HEAD = 4096  # characters in which a page's title and digest stand


def write_index(
    standings: Sequence[Standing],
    rolled_back: Mapping[str, dt.datetime],
    found: Sequence[tuple[Path, Run | BadData]],
) -> None:
    """Write `outputs/index.html`, atomically: how each namespace stands, and a line for each run.

    rolled_back : the runs whose deployment was, and when. found : every run, newest first, also one that cannot be
    read (`bq.runs.read.each`).
    """
    known = judged.of([run for _, run in found if isinstance(run, Run)])
    lines = [_line(folder, run, known.get(folder.name)) for folder, run in found]
    for run in lines:
        if run["folder"] in rolled_back:
            run |= {"shown": undone(run["status"], rolled_back[run["folder"]]), "colour": COLOURS["rolled back"]}
    page = environment().get_template("index.html.j2")
    script = (TEMPLATES / "index.js").read_text("utf-8")
    own = {"script": Markup(script), "allowed": Markup(content_hash(script))}
    links = [(title, pages) for folder, title in PAGES.items() if (pages := _pages(folder))]
    cards = [standing_card.card(one) for one in standings]
    docs = DOCS if (paths.outputs() / DOCS).is_file() else ""
    shown = {"runs": lines, "links": links, "docs": docs, "cards": cards, "notices": NOTICES}
    given = {"now": dt.datetime.now(dt.UTC), **shown, **own}
    text = page.render(digest="", terms=Linker(), **given)
    digest = hashlib.sha256(text.encode()).hexdigest()
    files.write_text(names.index(), DIGEST.sub(f'<meta name="digest" content="{digest}">', text, 1))


def digest(page: Path) -> str:
    """The digest of a dashboard as it lies there; empty where it has none. Raises OSError where it cannot be read."""
    with files.regular(page) as file:
        found = DIGEST.search(file.read(HEAD).decode("utf-8", "replace"))
    return found[1] if found else ""


DOCS = "docs/index.html"  # what `make docs` builds
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


def _line(folder: Path, run: Run | BadData, known: Judged | None) -> dict[str, Any]:
    """One line of the table."""
    shown = {"folder": folder.name}
    if isinstance(run, BadData):
        return shown | {"status": "unreadable", "headline": str(run), "report": False}
    names = ("started_utc", "namespace", "job", "status", "title", "source")
    headline = run.record.error or run.record.headline
    decided, figure = _verdict(run, known)
    return (
        shown
        | {name: getattr(run.record, name) for name in names}
        | {
            "headline": headline,
            "shown": decided,
            "colour": COLOURS.get(decided, "grey"),
            "report": run.report.is_file(),
            **figure,
        }
    )


def _verdict(run: Run, known: Judged | None) -> tuple[str, dict[str, Any]]:
    """The status of a run, or where that only says that it came to its end what was decided; and what the candidate
    earned, with its interval and its baseline, empty where no gate judged one."""
    if known is None:
        return run.record.status, {}
    if known.decision is None:
        return run.record.status, {"figure": "verdict.json cannot be read"}
    decided = known.decision if run.record.status == Status.DONE else run.record.status
    if known.figure is None:
        return decided, {}
    return decided, {"figure": figure_text(known.figure), "net": known.figure.value}
