"""Secrets come from the environment and stay there: what is kept, shown or logged has them blotted out."""

import html
import json
import os
import re
import shlex
from urllib.parse import unquote, unquote_plus, urlsplit

NAMES = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|CREDENTIAL", re.I)
SHORTEST = 6  # a shorter value is a word of its own in any text
BLOT = "•••"


def redact(text: str) -> str:
    """The text without any secret of the environment, also as it stands inside JSON, HTML or a printed `dict`.

    Secrets: the passwords in `BQ_DATABASE_URL`, also those of its query; words of `NOTIFY_CMD` that hold an address;
    variables named like one (PASSWORD, TOKEN, …). Values shorter than six characters are left alone.
    """
    for secret in sorted(_known(), key=len, reverse=True):
        for form in _forms(secret):
            text = text.replace(form, BLOT)
    return text


def _forms(secret: str) -> list[str]:
    """How a secret may be written, the longest first: as it is, printed, escaped, and each of these inside JSON."""
    written = {secret, repr(secret)[1:-1], html.escape(secret), html.escape(secret, quote=False)}
    inside = {json.dumps(form, ensure_ascii=ascii_only)[1:-1] for form in written for ascii_only in (True, False)}
    return sorted(written | inside, key=len, reverse=True)


def _known() -> set[str]:
    found = {value for name, value in os.environ.items() if NAMES.search(name)}
    found |= {word for word in _words(os.environ.get("NOTIFY_CMD", "")) if "://" in word}
    found |= {form for password in _passwords(os.environ.get("BQ_DATABASE_URL", "")) for form in _decoded(password)}
    return {secret for secret in found if len(secret) >= SHORTEST}


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _passwords(url: str) -> list[str]:
    """As written in the address: before its host, and in its query (`?password=…&sslpassword=…`)."""
    try:
        parts = urlsplit(url)
        asked = [pair.partition("=") for pair in parts.query.split("&")]
        return [parts.password or "", *(value for name, _, value in asked if NAMES.search(unquote_plus(name)))]
    except ValueError:
        return [url]


def _decoded(password: str) -> set[str]:
    return {password, unquote(password), unquote_plus(password)}
