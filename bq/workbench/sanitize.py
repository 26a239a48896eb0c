"""HTML from notebook outputs, written again from an allow-list: what is not on it becomes visible text.

pandas and polars escape a frame's content, but a Styler, `HTML()` and `Markdown()` do not: a symbol named `<script>…`
would run. Nothing here loads anything: images only as `data:`, no styles, no frames.
"""

import html
import re
from html.parser import HTMLParser

TAGS = frozenset(
    """a b blockquote br caption code col colgroup dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img kbd li mark ol
    p pre s small span strong sub summary sup table tbody td tfoot th thead tr u ul
    wbr""".split()  # noqa: SIM905
)
VOID = {"br", "col", "hr", "img", "wbr"}
ATTRIBUTES = {"alt", "align", "class", "colspan", "open", "data-label", "rowspan", "scope", "start", "title"}
ADDRESSES = {
    "href": re.compile(r"(https?:|mailto:|#|\.\./(explanations|scans)/[\w.-]+\.html$)", re.I),
    "id": re.compile(r"event-[0-9a-f]+$"),
    "src": re.compile(r"data:image/(png|jpeg|gif|webp);base64,"),
}
SKIPPED = {"style", "title"}


class _Cleaner(HTMLParser):
    """Collects the cleaned text in `parts`; `active` tells whether something wanted to run."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.open: list[str] = []
        self.skipping = 0
        self.active = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if any(
            name.startswith("on") or "javascript:" in "".join((value or "").split()).lower() for name, value in attrs
        ):
            self.active = True
        if tag in SKIPPED:
            self.skipping += 1
        elif tag not in TAGS:
            self.active |= tag == "script"
            self.handle_data(self.get_starttag_text() or "")
        else:
            self.parts.append(f"<{tag}{''.join(self._attribute(*pair) for pair in attrs)}>")
            if tag not in VOID:
                self.open.append(tag)

    def _attribute(self, name: str, value: str | None) -> str:
        value = value or ""
        allowed = name in ATTRIBUTES or (name in ADDRESSES and ADDRESSES[name].match(value))
        return f' {name}="{html.escape(value)}"' if allowed else ""

    def handle_endtag(self, tag: str) -> None:
        if tag in SKIPPED:
            self.skipping = max(0, self.skipping - 1)
        elif tag in self.open:
            while (last := self.open.pop()) != tag:
                self.parts.append(f"</{last}>")
            self.parts.append(f"</{tag}>")
        elif tag not in TAGS:
            self.handle_data(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self.skipping:
            self.parts.append(html.escape(data, quote=False))


def clean(text: str) -> tuple[str, bool]:
    """Return the cleaned HTML, and whether the text held something active (a script, a handler, a script address).

    >>> clean('<td onclick="x()">A&lt;b</td><script>alert(1)</script>')
    ('<td>A&lt;b</td>&lt;script&gt;alert(1)&lt;/script&gt;', True)
    """
    cleaner = _Cleaner()
    cleaner.feed(text)
    cleaner.close()
    cleaner.parts += [f"</{tag}>" for tag in reversed(cleaner.open)]
    return "".join(cleaner.parts), cleaner.active
