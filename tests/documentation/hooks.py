"""What mkdocs builds beside docs/: pages that stand elsewhere in the repository, so that they are there once.

Links lead from file to file of the repository, as a reader of the files needs them; here they lead from page to page.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
BESIDE = {  # page: file
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "bars.md": "data/raw/bars/README.md",
    "chains.md": "data/raw/chains/README.md",
}
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(?=[)#\s])")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that stand elsewhere."""
    for page, path in BESIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Let links lead to pages."""
    source = BESIDE.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    pages = {path: name for name, path in BESIDE.items()}

    def led(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[1]))
        return pages.get(target, posixpath.relpath(target, "docs"))

    return LINK.sub(led, markdown)
