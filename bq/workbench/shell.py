"""What all pages share: style, escaping, colours of a status, and how a policy names a script."""

import base64
import functools
import hashlib
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from bq.core.numerals import decimal
from bq.workbench.phrases import looked

CODE = re.compile(r"`([^`]+)`")
TEMPLATES = Path(__file__).parent / "templates"
COLOURS = {
    **dict.fromkeys(("deployed", "passed"), "green"),
    **dict.fromkeys(("rejected", "cancelled"), "amber"),
    **dict.fromkeys(("failed", "killed"), "red"),
    "kept": "blue",
    **dict.fromkeys(("done", "quick look"), "grey"),
    "rolled back": "amber",
}
SCROLLS = 'tabindex="0" role="group" aria-label="table; scrolls sideways where it is wider than the page"'


@functools.cache
def environment() -> Environment:
    """The Jinja environment of reports and index: everything is escaped unless marked."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.globals["scrolls"] = Markup(SCROLLS)
    environment.globals["style"] = Markup((TEMPLATES / "style.css").read_text("utf-8"))
    environment.filters["moment"] = lambda value: f"{str(value)[:16].replace('T', ' ')} UTC" if value else "not ended"
    environment.filters["code"] = lambda text: Markup(CODE.sub(r"<code>\1</code>", str(text)))  # of what is escaped
    environment.filters["looked"] = lambda held: looked(held.looks, held.since, held.own)
    environment.filters["duration"] = lambda seconds: (
        f"{decimal(seconds, 0)} s" if seconds < 120 else f"{decimal(seconds / 60, 0)} min"
    )
    return environment


def content_hash(code: str) -> str:
    """The hash of a script as a content security policy names it."""
    return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
