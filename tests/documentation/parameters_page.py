"""docs/parameters.md: every parameter of every strategy, by section, from its class."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from bq import strategies
from bq.core import paths
from bq.core.parameter_text import description, flow, ordered
from bq.core.section import Affects, Section, affected, section_of
from bq.core.settings import Settings

PAGE = paths.CHECKOUT / "docs" / "parameters.md"
TOP = """# Parameters

Every parameter of the three strategies. `parameters/<strategy>.yaml` has the same, line by line.

```sh
make retrain SET="learning.folds=4 policy.k=3"   # for one run
make retrain PARAMS=parameters/my_us.yaml        # a file of your own, which begins with `extends:`
make params                                      # the parameters in effect, each with its origin
```

Files are YAML 1.2; `strategy:` says whose parameters they are. An unknown name, a wrong type or an invalid value ends
the command with one sentence, and nothing has changed then. A default that differs between strategies is given for
each. What a change of a value affects:

| changes | another value |
|---|---|
| events | events are built again |
| recipe | the way of training is another one, which must beat the champion's |
| judging | what a model must show, or what its decisions are worth |
| earning | what a decision earns from its event |
| run | how a run goes, or what it shows; models and events stay |
"""
CHANGES = {
    Affects.EVENTS: "events",
    Affects.RECIPE: "recipe",
    Affects.JUDGING: "judging",
    Affects.EARNING: "earning",
    Affects.RUNNING: "run",
}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
KINDS = {"boolean": "true, false", "integer": "whole number", "number": "number", "null": "null", "string": "text"}
NONE = "–"


class Row(NamedTuple):
    """A parameter of one strategy, as the page says it."""

    name: str
    default: str
    takes: str
    changes: str
    meaning: str


class Place(NamedTuple):
    """Where parameters stand: their strategy's settings, the class that holds them, their default values and names."""

    model: type[Settings]
    owner: type[BaseModel]
    held: Any
    names: tuple[str, ...] = ()
    around: Affects = Affects(0)


def text() -> str:
    """The page."""
    known = sorted(strategies.MODULES, key=lambda name: name != strategies.DEFAULT)
    models = {name: strategies.get(name).settings for name in known}
    names = list(dict.fromkeys(name for model in models.values() for name in ordered(model)))
    blocks = [TOP]
    beside = {strategy: [*_rows(Place(model, model, None), sections=False)] for strategy, model in models.items()}
    blocks.append(
        _table({strategy: [row for row in rows if row.name != "strategy"] for strategy, rows in beside.items()})
    )
    for name in names:
        having = {own: model for own, model in models.items() if section_of(model, name)}
        for section in dict.fromkeys(section_of(model, name) for model in having.values()):
            group = {own: model for own, model in having.items() if section_of(model, name) is section}
            blocks += _section(name, section, group, alone=len(models) == len(group))
    return "\n".join(blocks)


def _section(name: str, section: type[Section], models: Mapping[str, type[Settings]], *, alone: bool) -> list[str]:
    first = next(iter(models.values()))
    title = name if alone else f"{name} ({', '.join(models)})"
    rows = {}
    for strategy, model in models.items():
        field = model.model_fields[name]
        held = field.get_default(call_default_factory=True)
        around = affected(model, name) or Affects(0)
        rows[strategy] = [*_rows(Place(model, section, held, (name,), around))]
    return [f"## {title}\n\n{description(first, (name,)).rstrip('.')}.\n", _table(rows)]


def _rows(place: Place, *, sections: bool = True) -> Iterator[Row]:
    """The parameters of a class, those of sections inside it behind their section's name."""
    schema = place.owner.model_json_schema()
    for name, field in place.owner.model_fields.items():
        inner, names = section_of(place.owner, name), (*place.names, name)
        around = affected(place.owner, name) or place.around
        value = getattr(place.held, name, PydanticUndefined) if isinstance(place.held, BaseModel) else PydanticUndefined
        if value is PydanticUndefined and not field.is_required():
            value = field.get_default(call_default_factory=True)
        if inner is None:
            yield Row(
                ".".join(names),
                _default(value),
                _takes(schema["properties"][name], schema),
                _changes(around),
                description(place.model, names),
            )
        elif sections:
            optional = not isinstance(value, BaseModel)
            if optional:
                yield Row(
                    ".".join(names),
                    _default(value),
                    "list of sections" if isinstance(value, list) else "section, null",
                    _changes(around),
                    description(place.model, names),
                )
            yield from _rows(Place(place.model, inner, value, names, around))


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return NONE
    if isinstance(value, list):
        value = [one.model_dump(exclude_none=True) if isinstance(one, BaseModel) else one for one in value]
    return f"`{flow(value)}`"


def _changes(affects: Affects) -> str:
    return ", ".join(word for flag, word in CHANGES.items() if flag in affects) or NONE


def _takes(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """What may stand there, of a JSON schema.

    >>> _takes({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}, {})
    'whole number ≥ 1, null'
    """
    if reference := schema.get("$ref"):
        return _takes(whole["$defs"][reference.rpartition("/")[2]], whole)
    if several := schema.get("anyOf"):
        return ", ".join(_takes(one, whole) for one in several)
    if "const" in schema or "enum" in schema:
        return ", ".join(flow(one) for one in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_takes(schema['items'], whole)}" if "items" in schema else "list"
    if kind == "object":
        return "mapping" if "additionalProperties" in schema else "section"
    if schema.get("format") == "date":
        return "date"
    bounds = " and ".join(f"{sign} {flow(schema[key])}" for key, sign in BOUNDS.items() if key in schema)
    return f"{KINDS[kind]} {bounds}".strip() if kind else "any"


def _table(of: Mapping[str, list[Row]]) -> str:
    """One row a parameter; what differs between strategies is given for each."""
    names = list(dict.fromkeys(row.name for rows in of.values() for row in rows))
    lines = ["| parameter | default | what it is |", "|---|---|---|"]
    for name in names:
        rows = {strategy: next((row for row in own if row.name == name), None) for strategy, own in of.items()}
        having = {strategy: row for strategy, row in rows.items() if row}
        cells = [_merged({strategy: row[i] for strategy, row in having.items()}) for i in range(1, 5)]
        default, takes, changes, meaning = cells
        lines.append(f"| `{name}` | {default} | {meaning}<br>*{takes} · changes {changes}* |")
    return "\n".join(lines) + "\n"


def _merged(said: Mapping[str, str]) -> str:
    """What most strategies say, then what others do, each with its name; of three that differ, each with its name."""
    most, times = Counter(said.values()).most_common(1)[0]
    shared = [_cell(most)] if times > 1 or len(said) == 1 else []
    others = [f"{strategy}: {_cell(own)}" for strategy, own in said.items() if not shared or own != most]
    return "<br>".join(shared + others)


def _cell(text: str) -> str:
    return re.sub(r"docs/(\w+\.md)", r"[docs/\1](\1)", text.replace("|", "\\|"))
