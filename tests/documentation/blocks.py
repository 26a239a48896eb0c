"""The blocks of code and the code between backticks of the documents.

A block behind `<!-- run -->`, which no reader sees, is executed by a test.
"""

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import mistune

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "data/raw/bars/README.md", "data/raw/chains/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
RUN = "<!-- run -->"
PARSE = mistune.create_markdown(renderer="ast", plugins=["table"])


class Block(NamedTuple):
    """A block of code: its document, its language (empty: none is named), its text, and whether a test executes it."""

    document: Path
    language: str
    text: str
    runs: bool

    @property
    def id(self) -> str:
        """For a test: document and first line."""
        return f"{self.document.relative_to(ROOT)}: {self.text.partition(chr(10))[0][:60]}"


class Command(NamedTuple):
    """A call of make: targets and variables."""

    where: str
    targets: tuple[str, ...]
    variables: dict[str, str]


def blocks() -> Iterator[Block]:
    """Every block of every document."""
    for document in DOCUMENTS:
        before: dict[str, Any] = {}
        for token in _tokens(PARSE(document.read_text("utf-8"))):
            if token["type"] == "block_code":
                language = token.get("attrs", {}).get("info", "")
                yield Block(document, language, token["raw"], runs=before.get("raw", "").strip() == RUN)
            if token["type"] != "blank_line":
                before = token


def spans() -> Iterator[tuple[Path, str]]:
    """Whatever stands between backticks, with its document."""
    for document in DOCUMENTS:
        for token in _tokens(PARSE(document.read_text("utf-8"))):
            if token["type"] == "codespan":
                yield document, token["raw"].replace("\\|", "|")


def commands() -> Iterator[Command]:
    """Every call of make, in blocks and between backticks."""
    for block in blocks():
        if block.language == "sh":
            for line in block.text.splitlines():
                yield from command(line, str(block.document.relative_to(ROOT)))
    for document, text in spans():
        yield from command(text, str(document.relative_to(ROOT)))


def command(text: str, where: str) -> Iterator[Command]:
    """The call of make that a line is, if it is one."""
    whole = words(text) if text.startswith(("make", "BQ_")) else []
    if whole[:1] == ["make"]:
        named = [word for word in whole[1:] if "=" not in word]
        given = [word.partition("=") for word in whole[1:] if "=" in word]
        yield Command(f"{where}: {shlex.join(whole)}", tuple(named), {name: value for name, _, value in given})


def words(line: str) -> list[str]:
    """The words of a line of a shell, from the command on, without a comment."""
    found = shlex.split(line, comments=True)
    return list(itertools.dropwhile(lambda word: re.match(r"[A-Z_]+=", word), found))


def _tokens(tokens: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for token in tokens:
        yield token
        yield from _tokens(token.get("children", []))
