"""Secrets come from the environment and stay there: what is kept, shown or logged has them redacted.

A secret is found by the name of its variable, by its shape (a password in an address, a key of a known format), or
because `BQ_SECRET_NAMES="A,B"` names its variable. It is redacted as it is, and as it stands in JSON, HTML, a
printed `dict`, an address or base64.
"""

import base64
import html
import json
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

ANYWHERE = re.compile(r"PASSW(OR)?D|PASSPHRASE|SECRET|TOKEN(?!IZ)|CREDENTIAL", re.I)  # in a name
WORDS = re.compile(  # of a name: MONKEY, AUTHOR, BYPASS and KEYBOARD_LAYOUT are none
    r"(?<![A-Z0-9])((API|ACCESS|AUTH|PRIVATE|ACCOUNT|MASTER|SIGNING|LICEN[CS]E)?KEYS?|(DB|PG)?PASS|PASSCODE|PWD|PW|PIN"
    r"|AUTH|AUTHORIZATION|BEARER|CREDS?|COOKIES?|JWT|DSN)(?![A-Z0-9])",
    re.I,
)
MORE = "BQ_SECRET_NAMES"  # names of further variables
NONE = {MORE, "PWD", "OLDPWD"}
PLACES = re.compile(r"_(FILE|PATH|DIR|SOCK|HOME)$", re.I)  # where a secret is kept
NO_SECRETS = {  # what is written everywhere is no secret, whatever its variable is called
    *("enabled", "disabled", "default", "required", "optional", "always", "password", "postgres", "postgresql"),
    *("sqlite", "butterfly", "forecast", "breakout", "simulated", "bundled"),
}
SHORTEST = 6  # a shorter value is a word of its own in any text
SHORTEST_NAMED = 3  # of a variable in BQ_SECRET_NAMES
STRONG, LONG = 8, 16  # of so many characters: found inside longer words too; between these, unless a word or a number
LONG_LINE = 20  # of a value of many lines: a secret by itself
LARGE = 50_000  # characters of a text that polars searches for all at once: several times as fast
MARK = "•••"
ALONE = r"(?<![A-Za-z0-9_-]{})"
SHAPES = {  # of keys, behind the text that each begins with, in this order for speed
    **{kind: rf"{kind}{ALONE.format(kind)}[0-9A-Z]{{16}}(?![0-9A-Za-z])" for kind in ("AKIA", "ASIA")},
    **{f"gh{one}_": rf"gh{one}_{ALONE.format(f'gh{one}_')}[A-Za-z0-9]{{30,}}" for one in "pousr"},
    "github_pat_": rf"github_pat_{ALONE.format('github_pat_')}\w{{22,}}",
    "glpat-": rf"glpat-{ALONE.format('glpat-')}[\w-]{{20,}}",
    "xox": rf"xox{ALONE.format('xox')}[a-z]-[A-Za-z0-9-]{{10,}}",
    "hooks.slack.com": r"(?P<before>hooks\.slack\.com/)(?:services|workflows)/[\w/-]+",
    "eyJ": rf"eyJ{ALONE.format('eyJ')}[\w-]{{10,}}\.eyJ[\w-]{{10,}}\.[\w-]{{10,}}",
    "AIza": rf"AIza{ALONE.format('AIza')}[\w-]{{35}}",
    "sk-": rf"sk-{ALONE.format('sk-')}(?=[\w-]*\d)(?=[\w-]*[A-Z])[\w-]{{32,}}",
    "k_live_": rf"[sr]k_live_{ALONE.format('[sr]k_live_')}[A-Za-z0-9]{{16,}}",
    "-----BEGIN ": r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----",
    "://": r"(?P<before>://[^\s/:@\"'<>]{0,100}:)(?!password@|\*+@|•)[^\s/@\"'<>]{1,200}(?=@)",
}
COMPILED = {begins: re.compile(pattern) for begins, pattern in SHAPES.items()}
BEGINNINGS = tuple(COMPILED)
KEYWORD = re.compile(r"\b(?:password|passwd|pwd)\s*=\s*'?([^\s';&]+)", re.I)  # of a database, in place of an address


class _Redactor(NamedTuple):
    """What is replaced, the longest first."""

    texts: tuple[str, ...]
    words: dict[str, re.Pattern]  # not inside a longer word

    def redact_and_count(self, text: str) -> tuple[str, int]:
        """The text without secrets, and how many were replaced."""
        count = 0
        for part in _present(self.texts, text):
            count += text.count(part)
            text = text.replace(part, MARK)
        patterns = [self.words[part] for part in _present(tuple(self.words), text)]
        for pattern in [*patterns, *(COMPILED[begins] for begins in _present(BEGINNINGS, text))]:
            text, replaced = pattern.subn(_marked, text)
            count += replaced
        return text, count


def _present(parts: tuple[str, ...], text: str) -> list[str]:
    """Which of the parts are in a text, in their order."""
    if len(text) > LARGE and parts:
        import polars as pl

        with suppress(UnicodeEncodeError):  # half a character, which polars has not
            found = set(pl.Series([text]).str.extract_many(list(parts), overlapping=True)[0])
            return [part for part in parts if part in found]
    return [part for part in parts if part in text]


def _marked(match: re.Match[str]) -> str:
    return (match.groupdict().get("before") or "") + MARK


def in_address(url: str) -> bool:
    """Whether a URL holds a password, a token or a key."""
    return any(_of_address(url)) or bool(redact_and_count(url)[1])


def redact(text: str) -> str:
    """The text without secrets."""
    return redact_and_count(text)[0]


def redact_and_count(text: str) -> tuple[str, int]:
    """The text without secrets, and how many places were redacted."""
    return _of(tuple(os.environ.items())).redact_and_count(text)


def redacted(value: Any) -> tuple[Any, int]:
    """JSON-like values with no secret in any text of theirs, and how many places were redacted.

    Numbers stay: one that happens to have a secret's digits would be no number any more.
    """
    redactor, count = _of(tuple(os.environ.items())), 0

    def walk(value: Any) -> Any:
        nonlocal count
        if isinstance(value, str):
            text, replaced = redactor.redact_and_count(value)
            count += replaced
            return text if replaced else value
        if isinstance(value, dict):
            return type(value)({walk(key): walk(own) for key, own in value.items()})
        if isinstance(value, list | tuple):
            return (list if isinstance(value, list) else tuple)(map(walk, value))
        return value

    return walk(value), count


@lru_cache(maxsize=8)
def _of(environment: tuple[tuple[str, str], ...]) -> _Redactor:
    secrets = _known(dict(environment))
    forms = {form: _is_word(secret) for secret in secrets for form in _forms(secret)}
    ordered = sorted(forms, key=len, reverse=True)
    words = {form: re.compile(rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])") for form in ordered if forms[form]}
    return _Redactor(tuple(form for form in ordered if not forms[form]), words)


def _is_word(secret: str) -> bool:
    """Whether it would be found by chance within identifiers and hashes."""
    plain = secret.isdecimal() or (secret.isalpha() and (secret[1:].islower() or secret.isupper()))
    return len(secret) < STRONG or (len(secret) < LONG and plain)


def _forms(secret: str) -> set[str]:
    """How a secret may be written."""
    written = {secret, repr(secret)[1:-1], html.escape(secret), html.escape(secret, quote=False)}
    written |= {html.escape(secret).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")}  # as Jinja does
    inside = {json.dumps(form, ensure_ascii=ascii_only)[1:-1] for form in written for ascii_only in (True, False)}
    inside |= {form.replace("<", "\\u003c") for form in inside}
    for form in (
        quote(secret, safe="", errors="replace"),
        quote(secret, errors="replace"),
        quote_plus(secret, errors="replace"),
    ):
        written |= {form, re.sub("%..", lambda code: code[0].lower(), form)}
    return written | inside | (set() if _is_word(secret) else set(_in_base64(secret)))


def _in_base64(secret: str) -> Iterator[str]:
    """Alone, and what it leaves in the base64 of a longer text (`user:password`), whichever of three places it has."""
    content = secret.encode("utf-8", "surrogateescape")
    for before, first in enumerate((0, 2, 3)):
        encoded = base64.b64encode(bytes(before) + content).decode()
        core = encoded[first : 8 * (before + len(content)) // 6]
        whole = [encoded, encoded.rstrip("=")] if before == 0 else []
        for form in (*whole, *([core] if len(core) >= STRONG else [])):
            yield from (form, form.translate(str.maketrans("+/", "-_")))


def _known(environment: dict[str, str]) -> set[str]:
    """The secrets of an environment."""
    more = set(re.split(r"[,\s]+", environment.get(MORE, "")))
    found = {value for name, value in environment.items() if _named(name) and not _is_place(name, value)}
    found |= {word for word in _words(environment.get("NOTIFY_CMD", "")) if "://" in word}
    for value in environment.values():
        found |= {
            form for word in _words(value) if "://" in word for own in _of_address(word) for form in _decoded(own)
        }
        found |= {match[1] for match in KEYWORD.finditer(value)}
        found |= {
            match[0] for begins, pattern in COMPILED.items() if begins != "://" for match in pattern.finditer(value)
        }
    found |= {line for value in found if "\n" in value for line in value.splitlines() if len(line) >= LONG_LINE}
    secret = {value for value in found if len(value) >= SHORTEST and value.lower() not in NO_SECRETS}
    return secret | {value for name in more if len(value := environment.get(name, "")) >= SHORTEST_NAMED}


def _named(name: str) -> bool:
    return name not in NONE and bool(ANYWHERE.search(name) or WORDS.search(name.replace("_", " ")))


def _is_place(name: str, value: str) -> bool:
    """Whether a variable says where a secret is, and not what it is."""
    if not value.startswith(("/", "~", ".")):
        return False
    with suppress(OSError, RuntimeError, ValueError):  # too long for a path, or the home of nobody
        return bool(PLACES.search(name)) or Path(value).expanduser().exists()
    return False


def _words(command: str) -> list[str]:
    if "://" not in command:
        return []
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _of_address(url: str) -> list[str]:
    """As written in an address: before its host, and in its query (`?password=…&sslpassword=…`)."""
    address = re.search(r"[a-z][a-z0-9+.-]*://.*", url, re.I | re.S)  # what comes before it may be `--url=`
    url = address[0] if address else url
    try:
        parts = urlsplit(url)
        asked = [pair.partition("=") for pair in parts.query.split("&")]
        alone = parts.username if parts.password is None and len(parts.username or "") >= LONG_LINE else None  # a token
        return [parts.password or "", alone or "", *(value for name, _, value in asked if _named(unquote_plus(name)))]
    except ValueError:
        return [url]


def _decoded(password: str) -> set[str]:
    return {password, unquote(password), unquote_plus(password)}
