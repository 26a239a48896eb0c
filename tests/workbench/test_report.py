import re
from html.parser import HTMLParser

import nbformat
import pytest
from workbench_sample import CANARY, CELLS

from bq.runs.record import RunRecord
from bq.runs.verdict import Verdict
from bq.workbench import report
from tests.stored import run_record

FIGURES = sum(source.startswith("plots.") or "\nplots." in source for _, source in CELLS)


class Tags(HTMLParser):
    """Collects (tag, attributes) and the text of styles."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.styles = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.lasttag == "style":
            self.styles.append(data)


@pytest.fixture
def render(tmp_path, run):
    def make(*notebooks, verdict=None, **changes):
        target = tmp_path / "report.html"
        said = Verdict.of(verdict, what="a verdict") if verdict else None
        report.render(list(notebooks), target, run=RunRecord.of(run | changes, what="a run"), verdict=said)
        return target

    return make


@pytest.fixture
def notebook(tmp_path):
    """Save cells (with outputs) as an executed notebook."""

    def save(*cells, name="nb.ipynb"):
        path = tmp_path / name
        nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), path)
        return path

    return save


def shown(data=None, **parts):
    output = nbformat.v4.new_output("display_data", data=data) if data else nbformat.v4.new_output(**parts)
    return nbformat.v4.new_code_cell("the code", outputs=[output])


def test_a_report_loads_nothing_and_holds_plotly_once(render, executed, verdict):
    target = render(executed, verdict=verdict)
    page = target.read_text()
    found = Tags(page)
    loads = [
        (tag, value) for tag, attrs in found.tags for name, value in attrs.items() if name in {"src", "href", "srcset"}
    ]
    assert all(value.startswith(("#", "data:")) or (tag, value) == ("a", "trades.csv") for tag, value in loads)
    assert not re.search(r"url\(|@import", "".join(found.styles))
    assert not {tag for tag, _ in found.tags} & {"iframe", "object", "embed", "base", "form"}
    assert page.count('<script type="text/plain">') == 1 and "* plotly.js v" not in page, "compressed"
    assert not re.search(r"require\.min\.js|mathjax.js|mermaid", page.lower().replace('mathjax.js"', ""))
    assert target.stat().st_size < 3e6


@pytest.mark.parametrize("width", [1280, 390])
def test_every_figure_is_drawn_and_the_page_is_as_wide_as_the_screen(render, executed, verdict, browse, width):
    seen = browse(render(executed, verdict=verdict), width=width)
    assert seen["undrawn"] == []
    assert seen["drawn"] == FIGURES
    assert seen["width"] == width
    assert "Champion b1f09c22 stays" in seen["text"]


def test_code_in_a_symbol_stays_text_everywhere(render, executed, run, verdict, notebook, browse):
    verdict["headline"] = verdict["reasons"][0] = verdict["table"]["rows"][0][0] = CANARY
    verdict["components"][0] |= {"name": CANARY, "statement": CANARY, "needed": CANARY}
    figure = {"data": [{"x": [CANARY], "y": [1], "type": "bar"}], "layout": {"title": {"text": CANARY}}}
    failing = notebook(
        shown({report.PLOTLY: figure}),
        shown({"text/plain": CANARY}),
        shown(output_type="stream", name="stdout", text=CANARY),
        shown(output_type="stream", name="stderr", text=CANARY),
        shown(output_type="error", ename=CANARY, evalue=CANARY, traceback=[CANARY]),
        nbformat.v4.new_markdown_cell(f"# {CANARY}"),
    )
    changes = dict.fromkeys(["title", "strategy", "run_id", "data_hash", "error"], CANARY)
    lists = {"warnings": [CANARY], "changes": [CANARY], "downloads": [{"label": CANARY, "file": "javascript:alert(1)"}]}
    target = render(executed, failing, verdict=verdict, parameters={"symbol": CANARY}, **changes, **lists)
    page = target.read_text()
    assert "<script>document" not in page
    assert not [
        value for _, attrs in Tags(page).tags for value in [attrs.get("href", "")] if value.startswith("javascript:")
    ]
    seen = browse(target, width=1280)
    assert "pwned" not in seen["title"].replace(CANARY, "")
    assert seen["drawn"] == FIGURES + 1
    assert CANARY in seen["text"]


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        pytest.param({"text/html": "<b onclick='x()'>a</b>", "text/plain": "the text"}, "the text", id="handler"),
        pytest.param({"text/html": "<script>x()</script>", "text/plain": "the text"}, "the text", id="script"),
        pytest.param({"image/svg+xml": "<svg onload='x()'/>", "text/plain": "the text"}, "the text", id="svg"),
        pytest.param({"text/html": "<script>x()</script>"}, "&lt;script&gt;x()", id="nothing else"),
        pytest.param({"application/javascript": "x()", "text/plain": "the text"}, "the text", id="javascript"),
        pytest.param({"text/html": "<b>bold</b>", "text/plain": "the text"}, "<b>bold</b>", id="harmless"),
    ],
)
def test_active_output_is_shown_as_plain_text(render, notebook, data, kept):
    body = render(notebook(shown(data))).read_text().split("<article>")[1]
    assert kept in body
    assert "<script>x" not in body
    assert "onclick" not in body


def without_links(page: str) -> str:
    """The page without the links of its terms."""
    return re.sub(r'<button type="button" class="term"[^>]*>(.*?)</button>', r"\1", page)


def test_every_term_that_is_linked_is_explained_once_at_the_end_and_no_other(render, notebook, verdict):
    cells = [nbformat.v4.new_markdown_cell("# The embargo\n\nAn embargo follows the fold.\n\n`purge` is code.")]
    page = render(notebook(*cells), verdict=verdict).read_text()
    body, terms = page.split('<section class="glossary"')
    linked = re.findall(r'class="term" popovertarget="([\w-]+)"', body)
    assert {"term-champion", "term-embargo", "term-fold"} <= set(linked)
    assert len(linked) == len(set(linked))
    assert re.findall(r'<div popover class="meaning" id="([\w-]+)">', terms) == sorted(linked)
    assert terms.count("<dt>") == len(linked), "on paper they stand at the end"
    assert "term-purge" not in linked


@pytest.mark.parametrize(
    ("source", "notice"),
    [
        pytest.param("modelled", "Not evidence about the market: option prices are modelled.", id="modelled"),
        pytest.param("simulated", "Not evidence about the market: this market is simulated.", id="simulated"),
        pytest.param("real", None, id="real"),
    ],
)
def test_what_is_no_evidence_says_so_in_red_before_the_verdict(render, verdict, source, notice):
    page = without_links(render(verdict=verdict, source=source).read_text())
    if notice:
        assert page.index(f'red notice">{notice}') < page.index(verdict["headline"])
    else:
        assert "Not evidence" not in page


def test_the_verdict_comes_before_the_notebooks_and_names_everything(render, notebook, verdict, run):
    page = render(notebook(nbformat.v4.new_markdown_cell("# First heading")), verdict=verdict).read_text()
    first, rest = without_links(page).split("<article>")
    for text in [verdict["headline"], "Needed: 14 more months", "? inconclusive", "✓ holds", "✗ fails", "9,152"]:
        assert text in first
    needed = [part["needed"] for part in verdict["components"]]
    for text in [*needed, "fold 2 has 188 events", "learning.folds: 5 → 6", 'href="trades.csv"']:
        assert text in first
    for text in ["First heading", "b1f09c22d1e04a77", "eb00e5d", "lightgbm 4.7.0", "folds: 6", "1120"]:
        assert text in rest


def test_without_a_verdict_a_report_begins_with_what_its_notebook_found(render, notebook, verdict):
    told = shown({"text/plain": "Drifted: none, of 22 features.\n`make retrain` knows the triggers."})
    told.metadata["tags"] = ["findings"]
    executed = notebook(nbformat.v4.new_markdown_cell("# First heading"), told)
    first, rest = without_links(render(executed).read_text()).split("<article>")
    assert "<li>Drifted: none, of 22 features.</li><li><code>make retrain</code> knows the triggers.</li>" in first
    assert "First heading" in rest
    assert "Drifted" not in without_links(render(executed, verdict=verdict).read_text()).split("<article>")[0]


def test_contents_link_to_headings_also_when_two_notebooks_share_them(render, notebook):
    cells = [nbformat.v4.new_markdown_cell("# Same title\n## A *part*\n### Detail")]
    page = render(notebook(*cells), notebook(*cells, name="two.ipynb")).read_text()
    links = re.findall(r'<li class="level-(\d)"><a href="#(section-\d+)">([^<]*)</a>', page)
    assert [(level, text) for level, _, text in links] == [("2", "Same title"), ("3", "A part")] * 2
    assert len({target for _, target, _ in links}) == 4
    assert all(page.count(f'id="{target}"') == 1 for _, target, _ in links)


def test_logs_are_folded_and_code_is_hidden(render, notebook):
    page = render(notebook(shown(output_type="stream", name="stderr", text="a warning\n"))).read_text()
    assert '<details class="log"><summary>log, 1 line</summary>' in page
    assert "the code" not in page


def test_a_notebook_that_is_missing_or_broken_does_not_cost_the_report(render, tmp_path, notebook):
    broken = tmp_path / "broken.ipynb"
    broken.write_text('{"cells": [')
    page = render(
        tmp_path / "gone.ipynb", broken, notebook(nbformat.v4.new_markdown_cell("# Here")), status="failed"
    ).read_text()
    for text in ["gone.ipynb could not be read", "broken.ipynb could not be read", "Here", "This run failed."]:
        assert text in page


def test_a_failed_run_points_to_what_is_below_only_where_something_is(render, notebook):
    below = "Everything up to there is below."
    assert below in render(notebook(nbformat.v4.new_markdown_cell("# Here")), status="failed").read_text()
    assert below not in render(status="failed", error="no bars").read_text()


def test_a_run_that_broke_early_needs_little_to_be_reported(tmp_path):
    target = tmp_path / "report.html"
    report.render([], target, run=run_record(status="cancelled", error="stopped by SIGTERM"), verdict=None)
    page = target.read_text()
    assert "This run was cancelled.</strong> stopped by SIGTERM" in page
    assert "<script" not in page


def test_the_same_inputs_give_the_same_bytes(render, executed, verdict):
    assert render(executed, verdict=verdict).read_bytes() == render(executed, verdict=verdict).read_bytes()
