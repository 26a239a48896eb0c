"""Render executed notebooks and a verdict as one HTML file that needs nothing else.

The verdict comes first, code is hidden, figures are drawn by plotly.js, inlined once and compressed. The file loads
nothing: should anything untrusted slip through, its content security policy runs one script (by hash) and forbids every
request.
"""

import base64
import functools
import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from markupsafe import Markup, escape
from nbconvert import HTMLExporter
from nbconvert.preprocessors import Preprocessor
from plotly.offline import get_plotlyjs
from traitlets.config import Config

from bq.core import files, secrets
from bq.core.params import to_yaml
from bq.runs.record import RunRecord
from bq.runs.verdict import Verdict
from bq.strategies.events import NOTICES
from bq.workbench import first, hangs, looser, svg
from bq.workbench.glossary import Linker
from bq.workbench.sanitize import clean
from bq.workbench.shell import COLOURS, SCROLLS, TEMPLATES, content_hash, environment

PLOTLY = "application/vnd.plotly.v1+json"
SHOWN = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/latex", "text/plain"]
SURVIVORS = (
    "Survivors only: the bundled stocks are companies that lived to the end of their data, which flatters whatever "
    "buys them."
)
BUNDLED = ("bundled", "bundled_bars")
ACTIVE = re.compile(r"<\s*script|\son\w+\s*=|javascript:", re.I)
HEADING = re.compile(r"<h([1-6])[^>]*>(.*?)</h\1>", re.S)


def render(notebooks: list[Path], target: Path, *, run: RunRecord, verdict: Verdict | None) -> None:
    """Write the report of a run to `target`, atomically.

    notebooks : executed notebooks in reading order; one that stopped early is shown as far as it came.
    verdict : None where no gate decided.
    """
    shown = _read(notebooks)
    bodies, contents = _link_headings(shown.bodies)
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
            bodies=bodies,
            contents=contents,
            terms=Linker(),
            failures=shown.failures,
            unreadable=shown.unreadable,
            figures=[_inline_json(figure) for figure in shown.figures],
            source_notice=NOTICES.get(run.source),
            survivors=SURVIVORS if run.parameters.get("market", {}).get("source") in BUNDLED else "",
            colours=COLOURS,
            parameters=to_yaml(run.parameters) if run.parameters else "",
            **_scripts(),
        )
    )
    _write(target, text)


def page(target: Path, *, title: str, source: str, parts: list[tuple[str, list[Any]]]) -> None:
    """Write a page of headed parts to `target`, atomically: the same shell, figures and escaping as a report.

    parts : (heading, contents); a content is text (Markdown), a plotly figure or anything with `_repr_html_`.
    source : of the outcomes shown: real, modelled or simulated.
    """
    notebook = nbformat.v4.new_notebook()
    for heading, contents in parts:
        notebook.cells.append(nbformat.v4.new_markdown_cell(f"# {heading}"))
        notebook.cells += [_cell(content) for content in contents]
    shown = _Shown()
    _show(notebook, shown, number=0)
    bodies, contents = _link_headings(shown.bodies)
    template = environment().get_template("page.html.j2")
    figures = [_inline_json(figure) for figure in shown.figures]
    notice = NOTICES.get(source)
    shown_on = {"title": title, "notice": notice, "bodies": bodies, "contents": contents, "figures": figures}
    text = template.render(**shown_on, terms=Linker(), **_scripts())
    _write(target, text)


def _write(target: Path, text: str) -> None:
    """Write a page, secrets redacted of all but what is ours in every page: changed, its policy would refuse it."""
    ours = (str(environment().globals["style"]), _scripts()["plotly"], _scripts()["draw"])
    parts = [text]
    for own in ours:
        parts += parts.pop().partition(own)
    redacted = [(part, 0) if part in ours else secrets.redact_and_count(part) for part in parts]
    files.warn_of_redacted(target, sum(count for _, count in redacted))
    files.write_bytes(target, "".join(part for part, _ in redacted).encode("utf-8"))


def _cell(content: Any) -> nbformat.NotebookNode:
    if isinstance(content, str):
        return nbformat.v4.new_markdown_cell(content)
    if hasattr(content, "to_plotly_json"):
        data = {PLOTLY: json.loads(content.to_json())}
    else:
        data = {"text/html": content._repr_html_(), "text/plain": repr(content)}
    return nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data=data)])


@dataclass
class _Shown:
    """What the notebooks give to the page."""

    bodies: list[str] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def _read(notebooks: list[Path]) -> _Shown:
    shown = _Shown()
    for number, path in enumerate(notebooks):
        try:
            notebook = nbformat.read(path, as_version=4)
        except (OSError, ValueError, nbformat.ValidationError) as error:
            shown.unreadable.append(f"{path.name} could not be read and is left out: {error}")
            continue
        _show(notebook, shown, number=number)
        shown.failures += _failures(notebook, name=path.name, prefix=f"cell-{number}")
    return shown


def _show(notebook: nbformat.NotebookNode, shown: _Shown, *, number: int) -> None:
    given = {"prefix": f"cell-{number}", "figures": shown.figures}  # the preprocessor adds to a copy
    body, resources = _exporter().from_notebook_node(notebook, given)
    shown.figures = resources["figures"]
    shown.bodies.append(body)


@functools.cache
def _scripts() -> dict[str, Any]:
    """plotly.js compressed, the drawing script that unpacks it, and the policy that lets only this one run."""
    packed = base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()
    draw = (TEMPLATES / "draw.js").read_text("utf-8")
    # 'unsafe-eval': the drawing script runs what it unpacks, and plotly's WebGL traces need it
    policy = (
        f"default-src 'none'; script-src 'sha256-{content_hash(draw)}' 'unsafe-eval'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return {"plotly": Markup(packed), "draw": Markup(draw), "policy": policy}


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
                output["data"] = {"text/html": _holder(place, data[PLOTLY])}
            else:
                _disarm(data)
        return cell, resources


def _holder(place: int, figure: dict[str, Any]) -> str:
    """Where a figure is drawn, with its title and note for those who do not see it; its reading stands below it."""
    meta = figure.get("layout", {}).get("meta") or {}
    said = ". ".join(str(meta[name]) for name in ("title", "note") if meta.get(name)) or "figure"
    return f'<div class="figure" data-figure="{place}" role="figure" aria-label="{escape(said)}"></div>'


def _disarm(data: dict[str, str]) -> None:
    """Clean the HTML of an output; drop HTML and SVG that want to run something in favour of the plain text."""
    source = data.get("text/html")
    if source is not None:
        cleaned, active = clean(source)
        data.pop("text/html") if active else data.update({"text/html": f'<div class="table" {SCROLLS}>{cleaned}</div>'})
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


def _link_headings(bodies: list[str]) -> tuple[list[Markup], list[dict[str, Any]]]:
    """Move headings one level down (the page has the first), give each an id, list the upper two levels."""
    contents: list[dict[str, Any]] = []

    def link(match: re.Match[str]) -> str:
        level = min(int(match[1]) + 1, 6)
        contents.append({"id": f"section-{len(contents)}", "level": level, "text": Markup(match[2]).striptags()})
        return f'<h{level} id="{contents[-1]["id"]}">{match[2]}</h{level}>'

    linked = [Markup(HEADING.sub(link, body)) for body in bodies]
    return linked, [entry for entry in contents if entry["level"] <= 3]


def _inline_json(figure: dict[str, Any]) -> Markup:
    """JSON for a script element: no `<`, so no text in it can end the element."""
    text = json.dumps(figure, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))
