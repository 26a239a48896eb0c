"""What a parameter file and those it extends hold, merged, with the place that each value comes from."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from ruamel.yaml.nodes import MappingNode

from bq.core import paths
from bq.core.errors import BadParameters, describe, nearest
from bq.core.section import BelongsTo, defaults, renamed, section_of
from bq.core.yaml_text import kind_of, nodes, read_yaml

EXTENDS = "extends"
BEFORE_NAME = re.compile(r"\s+(?=[^\W\d][\w.]*=)")  # blanks inside a value, as in [BRK B, KO], belong to it


class Layer(NamedTuple):
    """What one file says."""

    path: Path
    values: dict[str, Any]
    text: str

    def says(self, name: Sequence[str | int]) -> bool:
        """Whether the file decides this value: it gives it, or a value that holds it. A null holds nothing."""
        node: Any = self.values
        for key in name:
            if node is None or (isinstance(node, dict) and key not in node):
                return False
            if not isinstance(node, dict):
                return True
            node = node[key]
        return True

    def line(self, name: Sequence[str | int]) -> int:
        """Line of a name that the file gives, counted from 1; of the nearest section around it otherwise."""
        node, found = _nodes(self.text), 1
        for key in name:
            pairs = node.value if isinstance(node, MappingNode) else []
            here = next(((own, value) for own, value in pairs if own.value == key), None)
            if here is None:
                break
            found, node = here[0].start_mark.line + 1, here[1]
        return found


class Layers(NamedTuple):
    """A parameter file as it takes effect, before it is validated."""

    values: dict[str, Any]  # the model's own, then of the file that is extended, then of the file, then the overrides
    files: tuple[Layer, ...]  # the file, what it extends, what that extends
    given: Mapping[str, str]  # overridden name: variable that did it

    def variable(self, name: Sequence[str | int], *, partly: bool = False) -> str | None:
        """The variable that gave a value or what holds it; partly : or something in it. The last one where several."""
        dotted = ".".join(map(str, name)) + "."
        held = [own for own in self.given if dotted.startswith(f"{own}.") or (partly and own.startswith(dotted))]
        return self.given[held[-1]] if held else None

    def file(self, name: Sequence[str | int]) -> Layer | None:
        """The file that decides a value; None where it is the model's own."""
        return next((layer for layer in self.files if layer.says(name)), None)

    def where(self, name: Sequence[str | int]) -> str:
        """The variable, or else the file, in which a fault of this name is to be corrected."""
        if variable := self.variable(name, partly=self.file(name) is None):
            return variable
        for length in range(len(name), 0, -1):
            if layer := self.file(name[:length]):
                return str(layer.path)
        return str(self.files[0].path)

    @property
    def whole(self) -> str:
        """The file and what was overridden, for a rule across several values."""
        by_variable = {variable: sorted(n for n, v in self.given.items() if v == variable) for variable in self._said}
        variables = " and ".join(f"{variable} of {', '.join(names)}" for variable, names in by_variable.items())
        return f"{self.files[0].path} with {variables}" if variables else str(self.files[0].path)

    @property
    def _said(self) -> list[str]:
        return list(dict.fromkeys(self.given.values()))


def read(path: Path, model: type[BaseModel], overrides: Mapping[str, str]) -> Layers:
    """Read a parameter file and all it extends, and apply overrides to what comes of it.

    Sections are merged by name; every other value, a list or a mapping of names too, takes the place of the one below.
    overrides : variable: `"section.name=value …"`; the last wins. As in a file, what belongs to a value that is
    replaced (dates to a source) is the class's own where it is not given too. Raises BadParameters in one sentence.
    """
    moved = getattr(model, "moved", {})
    values, files = defaults(model), [one._replace(values=renamed(one.values, moved)) for one in _chain(path, model)]
    try:
        for number, layer in reversed(list(enumerate(files))):
            files[number] = layer._replace(values=_with_belongings(values, layer.values, model))
            values = _merged(values, files[number].values, model)
    except RecursionError:
        raise BadParameters(f"{path}: must hold named sections, but a section holds itself.") from None
    given: dict[str, str] = {}
    before = values
    for variable, text in overrides.items():
        for item in BEFORE_NAME.split(text.strip()) if text.strip() else ():
            name, value = _override(item, variable, model)
            name = moved.get(name, name)
            values = _put(values, name.split("."), value, model, name=name, variable=variable)
            given.pop(name, None)
            given[name] = variable
    for name, variable in _belonging(before, values, given, model):
        values = _put(values, name.split("."), _field(model, name).get_default(), model, name=name, variable=variable)
        given = {name: variable, **given}
    return Layers(values, tuple(files), given)


def _belonging(
    before: dict, after: dict, given: Mapping[str, str], model: type[BaseModel], prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """Names of what belongs to a value that a variable replaced, and which the variables do not give; the variable."""
    for name, field in model.model_fields.items():
        section, whole = section_of(model, name), prefix + name
        if section and isinstance(after.get(name), dict):
            yield from _belonging(_inside(before, name, model), after[name], given, section, f"{whole}.")
        for mark in field.metadata:
            other = f"{prefix}{mark.other}" if isinstance(mark, BelongsTo) else ""
            if other in given and whole not in given and after.get(mark.other) != before.get(mark.other):
                yield whole, given[other]


def _field(model: type[BaseModel], name: str) -> FieldInfo:
    """The field of a dotted name."""
    *sections, last = name.split(".")
    for section in sections:
        model = section_of(model, section) or model
    return model.model_fields[last]


def _with_belongings(low: dict, high: dict, model: type[BaseModel] | None) -> dict:
    """`high`, and in it the class's own value of what belongs to a value that it replaces: dates to a source."""
    found = dict(high)
    for name, field in model.model_fields.items() if model else ():
        section, value = section_of(model, name), high.get(name)
        if section and isinstance(value, dict):
            found[name] = _with_belongings(_inside(low, name, model), value, section)
        for mark in field.metadata:
            replaced = isinstance(mark, BelongsTo) and mark.other in high and high[mark.other] != low.get(mark.other)
            if replaced and name not in high:
                found[name] = field.get_default()
    return found


def _merged(low: dict, high: dict, model: type[BaseModel] | None) -> dict:
    found = dict(low)
    for name, value in high.items():
        section = section_of(model, name)
        merge = section is not None and isinstance(value, dict)
        found[name] = _merged(_inside(low, name, model), value, section) if merge else value
    return found


def _chain(path: Path, model: type[BaseModel]) -> list[Layer]:
    """The file, what it extends, what that extends, …"""
    if not path.is_file():
        raise BadParameters(f"{path}: the parameter file must exist, but there is none; {instead_of(path)}")
    found: list[Layer] = []
    seen: list[Path] = []
    here = path
    while True:
        if here.resolve() in seen:
            ring = " extends ".join([*(str(layer.path) for layer in found), str(here)])
            raise BadParameters(f"{path}: must not extend itself, but {ring}. Take one `extends:` out.")
        seen.append(here.resolve())
        layer = _layer(here, model)
        base = layer.values.pop(EXTENDS, layer)
        found.append(layer)
        if base is layer:
            return found
        here = _extended(base, here)


def instead_of(path: Path) -> str:
    """Which parameter file may be meant by the path of none: by its name, beside it or among the shipped ones."""
    shipped = {one.stem: one.relative_to(paths.CHECKOUT) for one in sorted(paths.CHECKOUT.glob("parameters/*.yaml"))}
    there = shipped | {one.stem: one for one in sorted(path.parent.glob("*.yaml"))}
    found = nearest(path.stem, there)
    return f"did you mean `{there[found]}`?" if found else f"known: {', '.join(map(str, there.values()))}."


def _layer(path: Path, model: type[BaseModel]) -> Layer:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadParameters(f"{path}: must be UTF-8 text, but {error}.") from None
    except OSError as error:
        raise BadParameters(f"{path}: must be readable, but {error.strerror}.") from None
    values = deepcopy(_values(text, str(path), model))
    if not isinstance(values, dict):
        raise BadParameters(f"{path}: must hold named sections (`market:` …), but holds {describe(values)}.")
    return Layer(path, values, text)


@lru_cache(maxsize=64)
def _values(text: str, where: str, model: type[BaseModel]) -> Any:
    """What a text holds: parsing it takes longer than all else that is done with parameters."""
    return read_yaml(text, where=where, kind=model)


def _extended(base: Any, path: Path) -> Path:
    """The file that `extends: base` names in the file `path`, by the shortest path that leads to it."""
    if not isinstance(base, str) or not base.strip() or Path(base).is_absolute():
        raise BadParameters(
            f"{path}: `{EXTENDS}` must be the path of a parameter file, relative to this one (../butterfly.yaml), but "
            f"got {base!r:.60}."
        )
    found = path.parent / base
    try:
        exists = found.is_file()
    except OSError:
        exists = False
    if not exists:
        raise BadParameters(f"{path}: `{EXTENDS}` must name a parameter file that exists, but {found} does not.")
    short = Path(os.path.normpath(found))
    return short if short.resolve() == found.resolve() else found


def _override(item: str, variable: str, model: type[BaseModel]) -> tuple[str, Any]:
    name, equals, text = item.partition("=")
    if not equals or not all(key.isidentifier() for key in name.split(".")):
        hint = " Write it without blanks around `=`." if re.search(r"\s=|=\s", item) else ""
        raise BadParameters(f'{variable}: must read "section.name=value …", but got {item!r}.{hint}')
    return name, read_yaml(text, where=f"{variable} {name}", kind=kind_of(model, name.split(".")))


def _put(values: dict, keys: list[str], value: Any, model: type[BaseModel] | None, *, name: str, variable: str) -> dict:
    """`values` with another value, at the names `keys`."""
    key, *rest = keys
    if not rest:
        return {**values, key: value}
    inner = _inside(values, key, model)
    if values.get(key) is not None and not isinstance(values[key], dict):
        raise BadParameters(f"{variable}: `{name}` must lie in a section, but `{key}` is a value.")
    return {**values, key: _put(inner, rest, value, section_of(model, key), name=name, variable=variable)}


def _inside(values: dict, name: str, model: type[BaseModel] | None) -> dict:
    """What a section holds; of one that is not there, or null, its own defaults."""
    held, section = values.get(name), section_of(model, name)
    if isinstance(held, dict):
        return held
    return defaults(section) if section else {}


@lru_cache(maxsize=8)
def _nodes(text: str) -> Any:
    return nodes(text)
