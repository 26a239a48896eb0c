"""Parameters as the text of a file that people read: YAML 1.2 in the order of the sections, a comment on each line."""

import datetime as dt
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any, get_args

from pydantic import BaseModel
from ruamel.yaml import YAML

from bq.core.section import declared, section_of
from bq.core.settings import Settings
from bq.core.yaml_text import read_yaml

COLUMN, WIDTH = 29, 120  # where comments begin; how long a line with its comment may be
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
USE = 'YAML 1.2; unknown names and wrong types are refused. `make … SET="learning.folds=5"` overrides one value.'
OWN = "A file of your own begins with `extends: {}.yaml` (a path from its folder) and says only what differs."
Comment = Callable[[tuple[str, ...]], str]


def head(model: type[Settings]) -> str:
    """The first lines of a file: what the strategy is, and what holds of every file."""
    (strategy,) = get_args(model.model_fields["strategy"].annotation)
    return f"{_first_line(model)}\n{USE}\n{OWN.format(strategy)}"


def description(model: type[Settings], name: Sequence[str]) -> str:
    """What a parameter or section is: as its strategy comments on it, or as its own class says."""
    owner, section = around(model, name), around(model, (*name, ""))
    own = next((field.description for field in declared(owner, name[-1]) if field.description), None) if owner else None
    return model.comments.get(".".join(name)) or own or (_first_line(section).rstrip(".") if section else "")


def around(model: type[BaseModel], name: Sequence[str]) -> type[BaseModel] | None:
    """The section that holds a name; None for one inside a value."""
    owner: type[BaseModel] | None = model
    for key in name[:-1]:
        owner = section_of(owner, key)
    return owner


def render(model: type[Settings], values: Mapping[str, Any], *, comment: Comment, top: str) -> str:
    """The text of a parameter file.

    values : by name, sections as mappings; names that are no parameters are left out.
    comment : of a value or section, by its names. top : the file's first lines.
    """
    lines = [f"# {line}".rstrip() for line in top.splitlines()]
    for name in ordered(model):
        if name in values:
            block = _block((name,), values[name], section_of(model, name), comment)
            lines += ["", *block] if len(block) > 1 else block
    return "\n".join(lines) + "\n"


def ordered(model: type[Settings]) -> list[str]:
    """What all strategies have around what is particular to this one: from the market to the run."""
    common, names = list(Settings.model_fields), list(model.model_fields)
    after = common.index("market") + 1
    return [*common[:after], *(name for name in names if name not in common), *common[after:]]


def _block(name: tuple[str, ...], value: Any, section: type[BaseModel] | None, comment: Comment) -> list[str]:
    """The lines of a value, or of a section and all in it."""
    indent, key = "  " * (len(name) - 1), name[-1]
    note = comment(name)
    if section is not None and isinstance(value, Mapping):
        inner = [
            line
            for own in section.model_fields
            if own in value
            for line in _block((*name, own), value[own], section_of(section, own), comment)
        ]
        return [_line(f"{indent}{key}:", note), *inner] if inner else [_line(f"{indent}{key}: {{}}", note)]
    flat = _line(f"{indent}{key}: {flow(value)}", note)
    if len(flat) <= WIDTH or not (isinstance(value, Mapping) and value):
        return [flat]
    inner = [f"{indent}  {flow(own)}: {flow(held)}" for own, held in value.items()]
    return [_line(f"{indent}{key}:", note), *inner]


def _line(text: str, comment: str) -> str:
    return f"{text:<{COLUMN - 1}} # {comment}" if comment else text


def flow(value: Any) -> str:
    """A value on one line of YAML 1.2.

    >>> flow({"lightgbm": [1, 0.5, None, "NO", "24/7"]})
    '{lightgbm: [1, 0.5, null, NO, "24/7"]}'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(own)}" for key, own in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        plain = PLAIN.fullmatch(value) and read_yaml(value, where="text") == value
        return value if plain else _quoted(value)
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: ".inf", -math.inf: "-.inf"}.get(value, ".nan")
    return value.isoformat() if isinstance(value, dt.date) else repr(value)


def _quoted(text: str) -> str:
    """Between double quotes, with escapes for all that would not stay on the line."""
    yaml, stream = YAML(typ="safe", pure=True), StringIO()
    yaml.default_style, yaml.width = '"', 1_000_000  # type: ignore[assignment]  # ruamel types both as None
    yaml.dump(text, stream)
    return stream.getvalue().removesuffix("...\n").strip("\n")


def _first_line(model: type) -> str:
    return (inspect.getdoc(model) or "").partition("\n")[0]
