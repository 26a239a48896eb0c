"""Strict parameters: YAML 1.2 and `SET=` overrides into validated models, or one clear sentence.

YAML 1.1 surprises (`NO` as false, `1e-3` as text, `010` as 8, `16:00` as 960) do not exist here: the loader is YAML
1.2, every model refuses unknown names and wrong types, and no value is coerced from text.
"""

import difflib
import re
import reprlib
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from bq.core.errors import BadParameters, did_you_mean


class Section(BaseModel):
    """Base of every parameter model: immutable, strict types, finite numbers, unknown names refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=Section)
SHORT = reprlib.Repr()
SHORT.maxlevel, SHORT.maxstring, SHORT.maxother = 3, 60, 60
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
        raise type(error)(f"{_origin(path, set_names)}: {error}") from None


def differences(before: Any, after: Any, prefix: str = "") -> list[tuple[str, Any, Any]]:
    """Dotted name, old and new value of everything in which two sets of parameters differ, sorted by name.

    >>> differences({"learning": {"folds": 6, "seed": 7}}, {"learning": {"folds": 4, "seed": 7}})
    [('learning.folds', 6, 4)]
    """
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [] if before == after else [(prefix, before, after)]
    names = sorted(set(before) | set(after))
    pairs = [(before.get(name), after.get(name), f"{prefix}.{name}".strip(".")) for name in names]
    return [difference for pair in pairs for difference in differences(*pair)]


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
    shown = SHORT.repr(value)  # of an anchor bomb, repr() would not end
    return f"{shown if len(shown) <= 60 else shown[:57] + '…'} ({kind})"


MUST = {
    "bool_type": "be true or false",
    "int_type": "be a whole number",
    "float_type": "be a number",
    "string_type": "be text (quote it)",
    "list_type": "be a list ([a, b])",
    "tuple_type": "be a list ([a, b])",
    "dict_type": "be a section",
    "model_type": "be a section",
    "date_type": "be a date (2010-01-31)",
    "invalid_key": "have a name that is text",
}
WORDING = re.compile(r"^(\w+ should|Value error,) | after validation, not \d+$")  # pydantic's, around what must hold


def _explain(error: ValidationError, model: type[BaseModel], *, path: Path, set_names: set[str]) -> str:
    """One sentence a fault, at most five; of a file for another strategy that alone, from which the others follow."""
    faults = error.errors()
    other = [fault for fault in faults if fault["loc"] == ("strategy",) and fault["type"] == "literal_error"]
    if other:
        sentence = _sentence(other[0], model, path=path, set_names=set_names)
        return f"{sentence} Take a file of that strategy, or name the file's own strategy with STRATEGY=."
    return "\n".join(_sentence(fault, model, path=path, set_names=set_names) for fault in faults[:5])


def _sentence(fault: Any, model: type[BaseModel], *, path: Path, set_names: set[str]) -> str:
    name = ".".join(map(str, fault["loc"]))
    where = "SET" if any(f"{name}.".startswith(f"{given}.") for given in set_names) else str(path)
    if fault["type"] == "extra_forbidden":
        return f"{where}: `{name}` is not a parameter; {_nearest(name, model)}"
    if fault["type"] == "missing":
        return f"{where}: `{name}` must be given, but is absent."
    must = MUST.get(fault["type"]) or WORDING.sub("", fault["msg"])
    if fault["type"] == "value_error":  # a rule across fields, which says itself what came
        return f"{_origin(path, set_names)}: `{name}` must {must}."
    return f"{where}: `{name}` must {must}, but got {_describe(fault['input'])}."


def _origin(path: Path, set_names: set[str]) -> str:
    return f"{path} with SET of {', '.join(sorted(set_names))}" if set_names else str(path)


def _nearest(name: str, model: type[BaseModel]) -> str:
    """What an unknown name may have meant: one of its section or, failing that, one of another section."""
    section, _, last = name.rpartition(".")
    parts = [known.rpartition(".") for known in _names(model)]
    beside = [own for of, _, own in parts if of == section]
    elsewhere = {own: f"{of}.{own}" for of, _, own in reversed(parts) if of}
    near = difflib.get_close_matches(last, elsewhere, n=1)
    if near and not difflib.get_close_matches(last, beside, n=1):
        return f"did you mean `{elsewhere[near[0]]}`?"
    return did_you_mean(last, beside)


def _names(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted names of all sections and parameters."""
    found = []
    for name, field in model.model_fields.items():
        found.append(prefix + name)
        for kind in (field.annotation, *get_args(field.annotation)):  # a section, or a section that may be absent
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found += _names(kind, f"{prefix}{name}.")
    return found
