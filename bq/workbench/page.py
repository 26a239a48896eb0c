"""A page of headed parts as one HTML file that needs nothing else, and what it shares with a report of notebooks.

Figures are drawn by plotly.js, inlined once and compressed. The file loads nothing: should anything untrusted slip
through, its content security policy runs one script (by hash) and forbids every request.
"""

import base64
import functools
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from bq.core import files, secrets
from bq.strategies.events import NOTICES
from bq.workbench.glossary import Linker
from bq.workbench.sanitize import clean
from bq.workbench.shell import SCROLLS, TEMPLATES, content_hash, environment

SURVIVORS = (
    "Survivors only: the bundled stocks are companies that lived to the end of their data, which flatters whatever "
    "buys them."
)
BUNDLED = ("bundled", "bundled_bars")
HEADING = re.compile(r"<h([1-6])[^>]*>(.*?)</h\1>", re.S)


def survivors(bars: str | None) -> str:
    """What flatters results on the bars of a `market.source`, or nothing."""
    return SURVIVORS if bars in BUNDLED else ""


def write(
    target: Path, *, title: str, source: str, parts: list[tuple[str, list[Any]]], bars: str | None = None
) -> None:
    """Write a page of headed parts to `target`, atomically: the same shell, figures and escaping as a report.

    parts : (heading, contents); a content is text (Markdown), a plotly figure or anything with `_repr_html_`.
    source : of the outcomes shown: real, modelled or simulated. bars : `market.source` of what was earned, if anything.
    """
    figures: list[dict[str, Any]] = []
    shown = [part for heading, contents in parts for part in (f"# {heading}", *contents)]
    body = "\n".join(_body(content, figures) for content in shown)
    bodies, contents = link_headings([body])
    notices = {"notice": NOTICES.get(source), "survivors": survivors(bars)}
    told = {"title": title, **notices, "bodies": bodies, "contents": contents}
    text = environment().get_template("page.html.j2").render(**told, **drawn(figures), terms=Linker())
    store(target, text)


def _body(content: Any, figures: list[dict[str, Any]]) -> str:
    """A content as HTML; a figure is added to `figures`, and its place is held."""
    if isinstance(content, str):
        return f'<section class="prose">{clean(_markdown()(content))[0]}</section>'
    if hasattr(content, "to_plotly_json"):
        figures.append(json.loads(content.to_json()))
        return f'<section class="cell">{holder(len(figures) - 1, figures[-1])}</section>'
    table = table_of(content._repr_html_()) or f'<pre class="printed" tabindex="0">{escape(repr(content))}</pre>'
    return f'<section class="cell">{table}</section>'


@functools.cache
def _markdown() -> Callable[[str], Any]:
    """Markdown as notebooks render it, without what makes nbconvert slow to import."""
    import mistune

    return mistune.create_markdown(escape=False, plugins=["strikethrough", "table", "url", "task_lists", "def_list"])


def store(target: Path, text: str) -> None:
    """Write a page, secrets redacted of all but what is ours in every page: changed, its policy would refuse it."""
    ours = (str(environment().globals["style"]), _scripts()["plotly"], _scripts()["draw"])
    parts = [text]
    for own in ours:
        parts += parts.pop().partition(own)
    redacted = [(part, 0) if part in ours else secrets.redact_and_count(part) for part in parts]
    files.warn_of_redacted(target, sum(count for _, count in redacted))
    files.write_bytes(target, "".join(part for part, _ in redacted).encode("utf-8"))


def drawn(figures: list[dict[str, Any]]) -> dict[str, Any]:
    """What a template needs to draw figures: them, plotly.js, the script that draws, the policy that allows it."""
    return {"figures": [_inline_json(figure) for figure in figures], **_scripts()}


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


def holder(place: int, figure: dict[str, Any]) -> str:
    """Where a figure is drawn, with its title and note for those who do not see it; its reading stands below it."""
    meta = figure.get("layout", {}).get("meta") or {}
    said = ". ".join(str(meta[name]) for name in ("title", "note") if meta.get(name)) or "figure"
    return f'<div class="figure" data-figure="{place}" role="figure" aria-label="{escape(said)}"></div>'


def table_of(source: str) -> str | None:
    """HTML of an output, cleaned, in a frame that scrolls; None where it wants to run something."""
    cleaned, active = clean(source)
    return None if active else f'<div class="table" {SCROLLS}>{cleaned}</div>'


def link_headings(bodies: list[str]) -> tuple[list[Markup], list[dict[str, Any]]]:
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
