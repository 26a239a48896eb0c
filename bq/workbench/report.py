"""Render executed notebooks and a verdict as one HTML file that needs nothing else (`bq.workbench.page`).

The verdict comes first, or without one what the notebooks found; code is hidden.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter
from nbconvert.preprocessors import Preprocessor
from traitlets.config import Config

from bq.core.params import to_yaml
from bq.runs.record import RunRecord
from bq.runs.verdict import Verdict
from bq.strategies.events import NOTICES
from bq.workbench import first, hangs, looser, page, svg
from bq.workbench.glossary import Linker
from bq.workbench.notebooks import findings_in
from bq.workbench.sanitize import clean
from bq.workbench.shell import COLOURS, TEMPLATES, environment

PLOTLY = "application/vnd.plotly.v1+json"
SHOWN = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/latex", "text/plain"]
ACTIVE = re.compile(r"<\s*script|\son\w+\s*=|javascript:", re.I)


def render(notebooks: list[Path], target: Path, *, run: RunRecord, verdict: Verdict | None) -> None:
    """Write the report of a run to `target`, atomically.

    notebooks : executed notebooks in reading order; one that stopped early is shown as far as it came.
    verdict : None where no gate decided.
    """
    shown = _read(notebooks)
    bodies, contents = page.link_headings(shown.bodies)
    text = (
        environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            verdict=verdict,
            hangs=hangs,
            first=first,
            svg=svg,
            looser=looser,
            told=[] if verdict else shown.told,
            bodies=bodies,
            contents=contents,
            terms=Linker(),
            failures=shown.failures,
            unreadable=shown.unreadable,
            source_notice=NOTICES.get(run.source),
            survivors=page.survivors(run.parameters.get("market", {}).get("source")),
            colours=COLOURS,
            parameters=to_yaml(run.parameters) if run.parameters else "",
            **page.drawn(shown.figures),
        )
    )
    page.store(target, text)


@dataclass
class _Shown:
    """What the notebooks give to the page."""

    bodies: list[str] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)  # the sentences with which they end


def _read(notebooks: list[Path]) -> _Shown:
    shown = _Shown()
    for number, path in enumerate(notebooks):
        try:
            notebook = nbformat.read(path, as_version=4)
        except (OSError, ValueError, nbformat.ValidationError) as error:
            shown.unreadable.append(f"{path.name} could not be read and is left out: {error}")
            continue
        _show(notebook, shown, number=number)
        shown.told += findings_in(notebook)
        shown.failures += _failures(notebook, name=path.name, prefix=f"cell-{number}")
    return shown


def _show(notebook: nbformat.NotebookNode, shown: _Shown, *, number: int) -> None:
    given = {"prefix": f"cell-{number}", "figures": shown.figures}  # the preprocessor adds to a copy
    body, resources = _exporter().from_notebook_node(notebook, given)
    shown.figures = resources["figures"]
    shown.bodies.append(body)


class _Prepare(Preprocessor):
    """Takes plotly figures out of a notebook, names its cells, and leaves no HTML in it that was not cleaned."""

    def preprocess_cell(self, cell: Any, resources: dict, index: int) -> tuple[Any, dict]:
        cell.metadata["anchor"] = f"{resources['prefix']}-{index}"
        for output in cell.get("outputs", []):
            data = output.get("data")
            if data is None:
                continue
            if PLOTLY in data:
                place = len(resources["figures"])
                resources["figures"].append(data[PLOTLY])
                output["data"] = {"text/html": page.holder(place, data[PLOTLY])}
            else:
                _disarm(data)
        return cell, resources


def _disarm(data: dict[str, str]) -> None:
    """Clean the HTML of an output; drop HTML and SVG that want to run something in favour of the plain text."""
    source = data.pop("text/html", None)
    table = None if source is None else page.table_of(source)
    if table is not None:
        data["text/html"] = table
    if ACTIVE.search(data.get("image/svg+xml", "")):
        data.pop("image/svg+xml")
    if not any(kind in data for kind in SHOWN):
        data["text/plain"] = source or "An active image was left out."


@functools.cache
def _exporter() -> HTMLExporter:
    """The notebook exporter, built once: it costs more than a report."""
    exporter = HTMLExporter(
        config=Config({"NbConvertBase": {"display_data_priority": SHOWN}}),
        extra_template_basedirs=[str(TEMPLATES)],
        template_name="cells",
        exclude_input=True,
        exclude_anchor_links=True,
    )
    exporter.register_filter("clean_html", lambda text: clean(text)[0])
    exporter.register_preprocessor(_Prepare, enabled=True)
    return exporter


def _failures(notebook: nbformat.NotebookNode, *, name: str, prefix: str) -> Iterator[dict[str, str]]:
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                yield {"notebook": name, "anchor": f"{prefix}-{index}", "ename": output.ename, "evalue": output.evalue}
