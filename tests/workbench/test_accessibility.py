"""Pages for those who use a keyboard or a screen reader, judged by axe-core in a real browser, light and dark."""

import importlib.util
import re
from pathlib import Path

import polars as pl
import pytest
from test_standing_card import standing

from bq.runs import read
from bq.runs.record import RunRecord
from bq.runs.verdict import Verdict
from bq.workbench import cards, dashboard, page, plots, report
from bq.workbench.table import table
from tests import devtools

CARRIERS = ("axe_core_python", "axe_playwright_python")  # packages that hold axe.min.js
FOUND = "axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations.map((one) => \
  `${one.impact} ${one.id}: ${one.nodes[0].html.slice(0, 200)}`))"
GRAVE = ("serious", "critical")
WIDE = pl.DataFrame({f"column {place}": [place * 1.5, None] for place in range(20)})


def axe() -> str:
    """The script of axe-core, or a skip that says what is missing."""
    if devtools.found() is None:
        pytest.skip("no Chromium on this machine: what axe-core says of a page cannot be asked")
    for name in CARRIERS:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            return (Path(spec.submodule_search_locations[0]) / "axe.min.js").read_text("utf-8")
    pytest.skip(f"axe-core is not installed ({' or '.join(CARRIERS)}): what it says of a page cannot be asked")


@pytest.fixture(scope="module")
def browser():
    script = axe()
    with devtools.Browser() as found:
        yield lambda page, **how: (found.open(page, **how), found.evaluate(script + ";1"), found.evaluate(FOUND))[-1]


@pytest.fixture
def pages(tmp_path, monkeypatch, executed, run, verdict) -> dict[str, Path]:
    """A report with figures, a page with cards and a table wider than a phone, and the index with all it can show."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    folder = tmp_path / "outputs" / "20261121T001829Z_butterfly"
    record = RunRecord.of(run, what="a run")
    folder.mkdir(parents=True)
    report.render([executed], folder / "report.html", run=record, verdict=Verdict.of(verdict, what="a verdict"))
    (folder / "run.json").write_text(record.model_dump_json())
    card = cards.Card("5d0fc50f7d09641e", "1. KO · rule score 60.0", ["buy", "debit"], "unlike the training", "")
    curve = plots.lines(pl.DataFrame({"x": [1, 2], "y": [3.0, 4.0]}), "x", ["y"], title="A", x_title="x", y_title="y")
    parts = [("To be traded", [cards.Cards([card])]), ("A champion's gate", ["Some text.", table(WIDE), curve])]
    page.write(tmp_path / "page.html", title="A scan", source="simulated", parts=parts)
    dashboard.write_index([standing()], {}, read.each())
    return {"report": folder / "report.html", "page": tmp_path / "page.html", "index": tmp_path / "outputs/index.html"}


@pytest.mark.parametrize("name", ["report", "page", "index"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)], ids=["wide light", "phone dark"])
def test_axe_finds_nothing_serious(browser, pages, name, width, dark):
    found = browser(pages[name], width=width, dark=dark)
    assert [one for one in found if one.startswith(GRAVE)] == []


def test_axe_is_asked_in_earnest(browser, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text('<html lang="en"><title>x</title><img src="data:,"><p style="color:#ddd;background:#fff">pale</p>')
    assert {one.split(":")[0] for one in browser(page)} >= {"critical image-alt", "serious color-contrast"}


def test_what_is_wider_than_a_phone_can_be_reached_by_keyboard_and_every_figure_has_a_name(pages):
    for name in ("report", "page"):
        divisions = re.findall(r"<div [^>]*>", pages[name].read_text())
        tables = [one for one in divisions if 'class="table"' in one]
        figures = [one for one in divisions if "data-figure=" in one]
        assert tables and all('tabindex="0"' in one and "aria-label=" in one for one in tables)
        assert figures and all('role="figure"' in one and "aria-label=" in one for one in figures)


def test_every_term_opens_its_meaning_without_a_script(pages):
    text = pages["page"].read_text()
    targets = re.findall(r'popovertarget="([\w-]+)"', text)
    assert targets
    assert all(f'<div popover class="meaning" id="{target}">' in text for target in targets)
