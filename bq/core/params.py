"""Strict parameters: YAML 1.2 and `SET=` overrides into validated models, or one clear sentence.

YAML 1.1 surprises (`NO` as false, `1e-3` as text, `010` as 8, `16:00` as 960) do not exist here: the loader is YAML
1.2, every model refuses unknown names and wrong types, and no value is coerced from text.
"""

import re
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from bq.core.errors import BadParameters, did_you_mean


class Section(BaseModel):
    """Base of every parameter model: immutable, strict types, finite numbers, unknown names refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=Section)
OTHER_VERSION = re.compile(r"^%YAML[ \t]+(?!1\.2\s*$)", re.MULTILINE)


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 2)
    return yaml


def read_yaml(text: str, *, where: str) -> Any:
    """Parse YAML 1.2 text with the safe loader; `where` names its origin in errors."""
    if OTHER_VERSION.search(text):
        raise BadParameters(f"{where}: must be YAML 1.2, but declares another version. Take the %YAML line out.")
    try:
        return _yaml().load(text)
    except RecursionError:
        raise BadParameters(f"{where}: must be YAML 1.2, but is nested too deeply to be read.") from None
    except (YAMLError, ValueError, LookupError) as error:  # ruamel lets those of a wrong `!!int` or `!!bool` through
        raise BadParameters(f"{where}: must be YAML 1.2, but could not be read: {_reason(error)}.") from None


def _reason(error: Exception) -> str:
    """What a YAML error says, on one line, with its place."""
    if isinstance(error, MarkedYAMLError) and error.problem and error.problem_mark:
        mark = error.problem_mark
        return f"{' '.join(error.problem.split())} (line {mark.line + 1}, column {mark.column + 1})"
    return " ".join(str(error).split())


def to_yaml(value: Any) -> str:
    """Write plain values as YAML 1.2."""
    stream = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(value, stream)
    return stream.getvalue()


def load(path: Path, model: type[Model], *, overrides: str = "") -> Model:
    """Read a parameter file, apply overrides, validate.

    path : YAML file. overrides : `"section.name=value section.other=value"`, values in YAML syntax.
    Raises BadParameters naming the file or the override, the name, what must hold and what came.
    """
    if not path.is_file():
        raise BadParameters(
            f"{path}: the parameter file must exist, but there is none. See parameters/ for the shipped ones."
        )
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadParameters(f"{path}: must be UTF-8 text, but {error}.") from None
    except OSError as error:
        raise BadParameters(f"{path}: must be readable, but {error.strerror}.") from None
    values = read_yaml(text, where=str(path))
    if not isinstance(values, dict):
        raise BadParameters(f"{path}: must hold named sections (`market:` …), but holds {_describe(values)}.")
    set_names = _apply(values, overrides)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise BadParameters(_explain(error, model, path=path, set_names=set_names)) from None
    except BadParameters as error:  # a rule across fields, already a whole sentence
        raise type(error)(f"{path}: {error}") from None


def _apply(values: dict, overrides: str) -> set[str]:
    """Write `a.b=value` pairs into `values`; return the dotted names that were set."""
    names = set()
    for item in overrides.split():
        name, equals, text = item.partition("=")
        parts = name.split(".")
        if not equals or not all(part.isidentifier() for part in parts):
            raise BadParameters(f'SET: must read "section.name=value …", but got {item!r}.')
        node = values
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise BadParameters(f"SET: `{name}` must lie in a section, but `{part}` is a value.")
        node[parts[-1]] = read_yaml(text, where=f"SET {name}")
        names.add(name)
    return names


def _describe(value: Any) -> str:
    kinds = {str: "text", bool: "true/false", int: "whole number", float: "number", dict: "section", list: "list"}
    if value is None:
        return "nothing"
    kind = kinds.get(type(value), type(value).__name__)
    shown = repr(value)
    return f"{shown if len(shown) <= 60 else shown[:57] + '…'} ({kind})"


MUST_BE = {
    "bool_type": "be true or false",
    "int_type": "be a whole number",
    "float_type": "be a number",
    "string_type": "be text (quote it)",
    "list_type": "be a list ([a, b])",
    "tuple_type": "be a list ([a, b])",
    "dict_type": "be a section",
    "model_type": "be a section",
    "date_type": "be a date (2010-01-31)",
    "missing": "be given",
}


def _explain(error: ValidationError, model: type[BaseModel], *, path: Path, set_names: set[str]) -> str:
    """One sentence a fault, at most five."""
    sentences = []
    for fault in error.errors()[:5]:
        location = [str(part) for part in fault["loc"]]
        name = ".".join(location)
        where = "SET" if name in set_names else str(path)
        if fault["type"] == "extra_forbidden":
            known = _known_names(model, location[:-1])
            sentences.append(f"{where}: `{name}` is not a parameter; {did_you_mean(location[-1], known)}")
        elif fault["type"] == "missing":
            sentences.append(f"{where}: `{name}` must be given, but is absent.")
        else:
            must = MUST_BE.get(fault["type"]) or fault["msg"].removeprefix("Input should ").removeprefix(
                "Value error, "
            )
            sentences.append(f"{where}: `{name}` must {must}, but got {_describe(fault['input'])}.")
    return "\n".join(sentences)


def _known_names(model: type[BaseModel], location: list[str]) -> list[str]:
    for part in location:
        field = model.model_fields.get(part)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        model = field.annotation
    return list(model.model_fields)
