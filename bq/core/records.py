"""What is kept as JSON: typed, with the version of its schema; what an older version wrote is read too."""

import datetime as dt
import math
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from bq.core import files
from bq.core.errors import BadData


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _all_finite(values: Any) -> Any:
    return {name: _finite(value) for name, value in values.items()} if isinstance(values, dict) else values


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


Number = Annotated[float | None, BeforeValidator(_finite)]  # JSON has no NaN and no infinity: None
Numbers = Annotated[dict[str, Any], BeforeValidator(_all_finite)]
Moment = Annotated[dt.datetime, AfterValidator(_utc)]


class Facts(BaseModel):
    """A part of a record. Names that it does not know are left out: a later version may have written them."""

    model_config = ConfigDict(extra="ignore", validate_assignment=True)

    def plain(self) -> dict[str, Any]:
        """JSON's values alone."""
        return self.model_dump(mode="json")


class Record(Facts):
    """A file, or a column, of JSON. A subclass states its version as the default; one without a version is of 0.1."""

    schema_version: int = 1

    @classmethod
    def upgraded(cls, content: dict[str, Any]) -> dict[str, Any]:
        """What version 1 wrote, under the names of today."""
        return content

    @classmethod
    def of(cls, content: Any, *, what: str, remedy: str = "") -> Self:
        """The record in a JSON value.

        what : whose it is, for the message. remedy : what to do where it is none. Raises BadData in one sentence.
        """
        if not isinstance(content, dict):
            raise BadData(f"{what} must hold a JSON object, but it is no object. {remedy}".rstrip())
        version, known = content.get("schema_version", 1), cls.model_fields["schema_version"].default
        if isinstance(version, int) and version > known:
            raise BadData(
                f"{what} must be of schema {known} or earlier, but a later version of this program wrote it (schema "
                f"{version}). Update the program."
            )
        try:
            return cls.model_validate(content if version == known else _as(known, cls.upgraded(dict(content))))
        except ValidationError as error:
            raise BadData(f"{what} must {_fault(error)}. {remedy}".rstrip()) from None

    @classmethod
    def parse(cls, text: str | bytes, *, what: str, remedy: str = "") -> Self:
        """The record in a text of JSON. Raises BadData as `of`."""
        try:
            content = files.parse_json(text)
        except ValueError as error:
            raise BadData(f"{what} must hold a JSON object, but cannot be read: {error}. {remedy}".rstrip()) from None
        return cls.of(content, what=what, remedy=remedy)

    @classmethod
    def read(cls, path: Path, *, what: str, remedy: str = "") -> Self:
        """The record in a file. Raises BadData as `of` and where it is no file, OSError where it cannot be read."""
        try:
            content = files.read_bytes(path)
        except OSError as error:
            if error.errno in files.NO_FILES:
                raise BadData(f"{what} must be a regular file, but: {error.strerror}. {remedy}".rstrip()) from None
            raise
        return cls.parse(content, what=what, remedy=remedy)

    def text(self) -> str:
        """The record as it is stored."""
        return files.canonical_json(self.plain())

    def write(self, path: Path) -> None:
        """Write the record atomically."""
        files.write_json(path, self.plain())


def _as(version: int, content: dict[str, Any]) -> dict[str, Any]:
    return content | {"schema_version": version}


def _fault(error: ValidationError) -> str:
    """What must hold and does not: all names that are missing, else the first value that is no such thing."""
    found = error.errors(include_url=False, include_context=False)
    absent = [_dotted(one["loc"]) for one in found if one["type"] == "missing"]
    if absent:
        return f"name {', '.join(absent)}, but does not"
    first = found[0]
    return f"hold a valid `{_dotted(first['loc'])}`, but got {repr(first['input'])[:80]} ({first['msg']})"


def _dotted(place: tuple[int | str, ...]) -> str:
    return ".".join(map(str, place))
