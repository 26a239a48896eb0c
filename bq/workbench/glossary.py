"""The terms of a page, linked to what they mean: docs/glossary.md, of which a page carries the lines it needs."""

import functools
import re

from markupsafe import Markup, escape

from bq.core import paths

LINKED = re.compile(r'(?P<tag><(?:p|li|th)(?: class="[^"]*")?>)(?P<text>[^<]+)')
ENTRY = re.compile(r"^### (?P<term>.+)\n(?P<text>(?:.+\n)+)", re.MULTILINE)


@functools.cache
def entries() -> dict[str, str]:
    """Each term, in the glossary's order, and its meaning in one paragraph."""
    text = (paths.CHECKOUT / "docs" / "glossary.md").read_text("utf-8")
    return {found["term"]: " ".join(found["text"].replace("`", "").split()) for found in ENTRY.finditer(text)}


@functools.cache
def _pattern() -> re.Pattern[str]:
    longest_first = sorted(entries(), key=len, reverse=True)
    return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, longest_first))})s?(?![\w-])", re.IGNORECASE)


def _known(term: str) -> str:
    return next(name for name in entries() if name.lower() == term.lower())


class Linker:
    """Makes the first mention of each term of a page say what it means when it is pressed or pointed at.

    By the popovers that `lines` become, without a script.
    """

    def __init__(self) -> None:
        self.used: list[str] = []

    def __call__(self, text: object) -> Markup:
        """The text, escaped, with its terms linked to what they mean."""
        return Markup(_pattern().sub(self._link, str(escape(text))))

    def inside(self, html: Markup) -> Markup:
        """HTML with the terms of its paragraphs, list items and table heads linked: its texts are escaped already."""
        return Markup(LINKED.sub(lambda one: one["tag"] + _pattern().sub(self._link, one["text"]), str(html)))

    def _link(self, found: re.Match[str]) -> str:
        term = _known(found[1])
        if term in self.used:
            return found[0]
        self.used.append(term)
        meaning = escape(entries()[term])
        return (
            f'<button type="button" class="term" popovertarget="{anchor(term)}" title="{meaning}">{found[0]}</button>'
        )

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        """Anchor, term and meaning of each term linked so far, by name."""
        return [(anchor(term), term, entries()[term]) for term in sorted(self.used, key=str.lower)]


def anchor(term: str) -> str:
    """The id of a term's entry on a page.

    >>> anchor("rank IC")
    'term-rank-ic'
    """
    return "term-" + re.sub(r"\W+", "-", term.lower())
