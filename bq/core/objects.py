"""What lies below a URL (`BQ_DATA_ROOT=s3://bucket/prefix`): any scheme that fsspec knows, through one small door.

fsspec is imported where the variable is set, and credentials are those that it finds in the environment.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from bq.core import files, paths, secrets
from bq.core.errors import BadParameters, BQError, did_you_mean, reason

VARIABLE = "BQ_DATA_ROOT"
EXAMPLE = "s3://bucket/prefix, or file:///mnt/team for a folder"


@dataclass(frozen=True)
class Place:
    """An object, or all that begins with its name and a slash.

    Methods raise BQError, in one sentence, where the storage refuses or cannot be reached, and FileNotFoundError where
    there is no such object.
    """

    root: str  # the URL of `BQ_DATA_ROOT`
    below: tuple[str, ...] = ()

    def __truediv__(self, name: str) -> "Place":
        return replace(self, below=(*self.below, *name.split("/")))

    def __str__(self) -> str:
        return "/".join((self.root, *self.below))

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.below[-1]

    @property
    def parent(self) -> "Place":
        """The folder that it lies in."""
        return replace(self, below=self.below[:-1])

    def read(self) -> bytes:
        """What an object holds."""
        with _asking(self, "read") as (system, path):
            return system.cat_file(path)

    def read_each(self, names: Sequence[str]) -> list[bytes]:
        """What objects below hold, asked for at once."""
        with _asking(self, "read") as (system, path):
            found = system.cat([f"{path}/{name}" for name in names])
            return [found[f"{path}/{name}"] for name in names]

    def write(self, content: bytes) -> None:
        """Replace an object, whole or not at all."""
        with _asking(self, "written") as (system, path):
            _put(system, {path: content})

    def write_each(self, contents: Mapping[str, bytes]) -> None:
        """Write objects below, at once; each is whole or absent."""
        with _asking(self, "written") as (system, path):
            _put(system, {f"{path}/{name}": content for name, content in contents.items()})

    def copy_to(self, target: Path) -> None:
        """Write what an object holds into a file, without holding it in memory."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with _asking(self, "read") as (system, path), system.open(path, "rb") as source, target.open("xb") as file:
            shutil.copyfileobj(source, file, 1 << 22)

    def objects(self) -> dict[str, str]:
        """Names of all objects below, each with what changes when it does."""
        with _asking(self, "listed") as (system, path):
            system.invalidate_cache()
            found = system.find(path, detail=True)
        stamps = ("ETag", "etag", "mtime", "created", "LastModified", "size")
        return {
            name[len(path) + 1 :]: " ".join(str(about[key]) for key in stamps if key in about)
            for name, about in found.items()
            if name != path
        }

    def folders(self) -> list[str]:
        """Names of the folders immediately below, sorted."""
        with _asking(self, "listed") as (system, path):
            system.invalidate_cache()
            try:
                found = system.ls(path, detail=True)
            except FileNotFoundError as error:
                _refuse_no_bucket(self, error)
                return []
        return sorted(one["name"].rstrip("/").rpartition("/")[2] for one in found if one["type"] == "directory")

    def remove(self) -> None:
        """Remove all objects below; what is gone already is no fault."""
        with _asking(self, "removed") as (system, path):
            system.invalidate_cache()
            try:
                system.rm(path, recursive=True)
            except FileNotFoundError as error:
                _refuse_no_bucket(self, error)


def root() -> Place | None:
    """The place that `BQ_DATA_ROOT` names; None where it is not set.

    Raises BadParameters for what is no URL, has a password in it, or is of a scheme that cannot be used here.
    """
    given = os.environ.get(VARIABLE, "").strip().rstrip("/")
    if not given:
        return None
    if secrets.in_address(given):
        raise BadParameters(
            f"{VARIABLE} must be a URL without a user, password or key in it, but holds one. Leave it out: credentials "
            "come from the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the machine's role)."
        )
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^?#*\[\]\s]+", given, re.I):
        raise BadParameters(
            f"{VARIABLE} must be a URL such as {EXAMPLE}, without a query, blanks or any of * ? [ ], but is {given!r}."
        )
    place = Place(given)
    _system(given)
    return place


def events(strategy: str) -> Place | Path:
    """The event store of one strategy: below the URL where one is set, else (and in a world of its own) a folder."""
    from bq.core.db import OWN_WORLD

    place = None if os.environ.get(OWN_WORLD) else root()
    return place / "events" / strategy if place else paths.events(strategy)


def raw_bars() -> Place | None:
    """The users' bars below the URL; None where none is set."""
    place = root()
    return place / "raw" / "bars" if place else None


@lru_cache(maxsize=4)
def _system(url: str) -> tuple[Any, str]:
    """The file system of fsspec that a URL is of, and the path within it."""
    scheme = url.partition("://")[0].lower()
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = getattr(error.__cause__ or error, "name", None) or "fsspec"
        raise BadParameters(
            f"{VARIABLE} is {url!r}, and {scheme}:// needs a package that is not installed ({reason(error)}). Install "
            f"it: `pip install {package}`."
        ) from None
    except ValueError as error:
        hint = did_you_mean(scheme, ["s3", "gs", "abfs", "file", "memory"])
        raise BadParameters(
            f"{VARIABLE} must be a URL of a scheme that fsspec knows, but {url!r} is of none ({reason(error)}); {hint}"
        ) from None
    return system, path.rstrip("/")


@contextmanager
def _asking(place: Place, what: str) -> Iterator[tuple[Any, str]]:
    """The file system of a place and the path in it; what goes wrong there is one sentence, whoever raises it."""
    system, path = _system(place.root)
    try:
        yield system, "/".join((path, *place.below))
    except BQError:
        raise
    except FileNotFoundError as error:
        _refuse_no_bucket(place, error)
        raise
    except PermissionError as error:
        raise BQError(
            f"{place} must be allowed to be {what}, but the storage refuses it ({_said(error)}). Give the credentials "
            f"of this environment the right to it, or set {VARIABLE} to another place. Nothing is half-written."
        ) from None
    except Exception as error:  # each scheme's library has errors of its own
        raise BQError(
            f"{place} could not be {what}: {_said(error)}. Check that {VARIABLE} is right, that the storage can be "
            "reached and that the environment has its credentials; then run it again: nothing is half-written."
        ) from error


def _refuse_no_bucket(place: Place, error: FileNotFoundError) -> None:
    """Raise where not the object is missing, but all of what the URL begins with."""
    answer = getattr(error.__cause__, "response", None) or {}
    if answer.get("Error", {}).get("Code") == "NoSuchBucket":
        raise BQError(
            f"{place.root}: the bucket of {VARIABLE} must exist, but does not. Create it, or correct the name."
        ) from None


def _said(error: Exception) -> str:
    """What a library says, without secrets and the full stop."""
    return secrets.redact(reason(error)).rstrip(".")


def _put(system: Any, contents: Mapping[str, bytes]) -> None:
    if "file" in (system.protocol if isinstance(system.protocol, tuple) else (system.protocol,)):
        for path, content in contents.items():  # fsspec writes a local file in its place: a kill would leave half of it
            files.write_bytes(Path(path), content)
    else:
        system.pipe(dict(contents))
