"""The pages of the documentation: all are built, every link leads somewhere, nothing is loaded from elsewhere."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests import devtools, pictures
from tests.documentation import blocks, house_picture, parameters_page
from tests.documentation.blocks import ROOT
from tests.floors import FLOORS

LOADED = {"src", "srcset", "data", "poster"}  # attributes whose address a browser asks for
OUTSIDE = re.compile(r"^\s*(https?:)?//")
OF_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?\s*(?:https?:)?//", re.I)
LONGEST_README = 160
LARGEST_PICTURE = 150_000  # bytes


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """What `make docs` builds; a link that leads nowhere, and a page without a place in the contents, fail it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


class Loads(HTMLParser):
    """The addresses that a page loads without being asked."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in LOADED or (tag == "link" and name == "href"):
                self.found.append(value or "")


def test_every_document_is_a_page(site):
    pages = {path.name for path in site.glob("*.html")}
    assert {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")} <= pages
    assert {"index.html", "contributing.html", "changelog.html", "bars.html", "chains.html"} <= pages
    assert "purged walk-forward" in (site / "index.html").read_text()


def test_no_page_loads_anything_from_elsewhere(site):
    outside = {}
    for path in site.glob("*.html"):
        page = Loads()
        page.feed(path.read_text())
        outside[path.name] = [address for address in page.found if OUTSIDE.match(address)]
    assert len(outside) > 20 and {name: found for name, found in outside.items() if found} == {}
    assert [path.name for path in site.rglob("*.css") if OF_STYLE.search(path.read_text())] == []


@pytest.mark.parametrize(
    "page",
    ['<script src="https://x.org/a.js">', '<link rel="stylesheet" href="//x.org/a.css">', '<img src="http://x">'],
)
def test_what_is_loaded_from_elsewhere_is_seen(page):
    found = Loads()
    found.feed(page)
    assert [address for address in found.found if OUTSIDE.match(address)] != []


@pytest.mark.skipif(devtools.found() is None, reason="no Chromium")
def test_a_browser_asks_for_nothing_else_and_no_page_is_wider_than_a_phone(site):
    with devtools.Browser() as browser:
        for name in ("index", "commands", "parameters", "house", "figures"):
            browser.open(site / f"{name}.html", width=390, height=844)
            asked = browser.requests()
            assert len(asked) > 3 and [one for one in asked if not one.startswith(("file:", "data:"))] == [], name
            assert browser.evaluate("document.documentElement.scrollWidth") <= 390, name


def test_the_search_finds_words_of_every_kind_of_page(site):
    index = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    assert {"parameters.html", "commands.html", "glossary.html", "index.html", "bars.html"} <= {
        one["location"].partition("#")[0] or "index.html" for one in index
    }


def test_the_page_of_parameters_is_what_the_classes_say():
    assert parameters_page.PAGE.read_text() == parameters_page.text(), "python -m tests.write_parameters"


def test_the_page_of_parameters_says_what_a_value_may_be():
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", parameters_page.text(), re.M))
    assert rows["learning.folds"].startswith("`5`<br>butterfly: `6` ")
    assert "*whole number ≥ 2 · changes recipe*" in rows["learning.folds"]
    assert "`0.05`<br>forecast: `0.02`" in rows["gate.artefact_margin"]
    assert "cpu, cuda" in rows["learning.device"] and "number > 0 and < 0.5" in rows["gate.alpha"]


def test_the_picture_of_the_house_is_drawn_from_the_imports():
    assert house_picture.PICTURE.read_text() == house_picture.picture(), "python -m tests.documentation.house_picture"
    marks = house_picture.picture().count('class="uses"')
    assert marks == sum(len(house_picture.uses(folder)) for folder in FLOORS) > 60


PICTURED = {  # a page of each kind: the document that leads to it
    "butterfly": "reading_a_report",
    "scan": "reading_a_report",
    "drift": "monitoring",
    "ab": "comparison",
    "dashboard": "dashboard",
    "tuning": "tuning",
    "season": "trading",
    "seasons": "trading",
    "lab": "jupyterlab",
}


def test_every_kind_of_page_is_pictured_where_it_is_explained():
    for kind, page in PICTURED.items():
        assert f"(pictures/{kind}_1280_light.png)" in (ROOT / "docs" / f"{page}.md").read_text(), kind
    assert {f"{kind}_1280_light" for kind in PICTURED} == set(pictures.SHOWN)


def test_every_picture_that_a_document_names_is_there_small_and_no_other_is():
    texts = [path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    named = {name for text in texts for name in re.findall(r"\]\((?:docs/)?pictures/([^)]+)\)", text)}
    there = {path.name: path.stat().st_size for path in (ROOT / "docs" / "pictures").iterdir()}
    assert named == set(there) and max(there.values()) <= LARGEST_PICTURE


def test_the_page_of_the_house_has_every_folder_in_its_order():
    page = (ROOT / "docs" / "house.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.M) == FLOORS


def test_the_page_of_simulated_markets_has_every_file():
    page = (ROOT / "docs" / "simulated.md").read_text()
    cells = re.findall(r"^\| (`[^|]+) \|", page, re.M)
    told = [name for cell in cells for name in re.findall(r"`(\w+\.yaml)`", cell)]
    assert sorted(told) == sorted(path.name for path in (ROOT / "parameters" / "simulated").glob("*.yaml"))


def test_the_page_of_commands_has_every_target_once_below_its_group():
    """A new target: `[group]` in its line of help in the Makefile, and a row in docs/commands.md."""
    groups = dict(re.findall(r"^([a-z-]+): .*## \[([a-z ]+?)(?: \*)?\] ", (ROOT / "Makefile").read_text(), re.M))
    page = (ROOT / "docs" / "commands.md").read_text().split("## Variables")[0]
    told = [
        (target, heading.lower())
        for heading, text in re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", page, re.M)
        for cell in re.findall(r"^\| (`make [^|]*) \|", text, re.M)
        for target in re.findall(r"`make ([a-z-]+)", cell)
    ]
    assert sorted(told) == sorted(groups.items())


def test_the_readme_is_what_a_first_hour_needs():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= LONGEST_README
    first = [one.targets for one in blocks.commands() if one.where.startswith("README.md")][:2]
    assert first == [("retrain",), ("test",)]
