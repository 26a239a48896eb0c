"""Base of every parameter model: what a section is, what its values affect, and what their own values are."""

import copy
from collections.abc import Mapping
from enum import Flag, auto
from typing import Any, ClassVar, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo


class Affects(Flag):
    """What depends on a parameter; several are joined by `|`."""

    EVENTS = auto()  # what is built and stored of an opportunity
    RECIPE = auto()  # how a model is trained: another value is another recipe
    JUDGING = auto()  # what decisions are worth, and what a model must show
    EARNING = auto()  # what a decision earns of its event: how many are taken, at which costs
    RUNNING = auto()  # how a run goes, what it reads or shows beside, what a model is asked for


NOTHING = Affects(0)


class BelongsTo(NamedTuple):
    """In a field's annotation: a value of a lower file holds for what that file says of the other field alone."""

    other: str


class Section(BaseModel):
    """Base of every parameter model: immutable, strict types, finite numbers, unknown names refused.

    A section of a parameter file says in `affects` what depends on its values. One inside it may leave that out, and a
    field that differs says so itself: `end: Annotated[dt.date | None, Affects.RUNNING] = …`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    affects: ClassVar[Affects | None] = None  # None: what the section around it affects


def section_of(model: type[BaseModel] | None, name: str) -> type[Section] | None:
    """The section that a field holds, or may hold; None for a field that is a value, and for an unknown name."""
    field = model.model_fields.get(name) if model else None
    if field is None:
        return None
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None)


def declared(model: type[BaseModel], name: str) -> list[FieldInfo]:
    """A field as its class declares it, then as the classes do that it comes from."""
    owners = [owner for owner in model.__mro__ if issubclass(owner, BaseModel) and name in owner.model_fields]
    return [owner.model_fields[name] for owner in owners]


def affected(model: type[BaseModel], name: str) -> Affects | None:
    """What a field affects: as its annotation says, or that of the class it comes from, or else its section."""
    for field in declared(model, name):
        for mark in field.metadata:
            if isinstance(mark, Affects):
                return mark
    section = section_of(model, name)
    return section.affects if section else None


def part(section: Section, what: Affects, *, but: Affects = NOTHING, around: Affects = NOTHING) -> dict[str, Any]:
    """The values of a section, and of all in it, that affect `what` and nothing of `but`, as JSON takes them.

    around : what values affect whose field and section say nothing.
    """
    values, found = section.model_dump(mode="json"), {}
    for name in type(section).model_fields:
        own, value = affected(type(section), name) or around, getattr(section, name)
        if isinstance(value, Section):
            if inner := part(value, what, but=but, around=own):
                found[name] = inner
        elif what in own and not own & but:
            found[name] = values[name]
    return found


def defaults(model: type[BaseModel]) -> dict[str, Any]:
    """The own value of every parameter, sections as mappings; what a file must give is left out."""
    found = {}
    for name, field in model.model_fields.items():
        if not field.is_required():
            value = field.get_default(call_default_factory=True)
            found[name] = value.model_dump() if isinstance(value, Section) else copy.deepcopy(value)
    return found


def renamed(values: Mapping[str, Any], moved: Mapping[str, str]) -> dict[str, Any]:
    """Values by the names of today. A value that has the new name already keeps it, and a null is left out.

    moved : dotted name of before, `section.name` as the new one.

    >>> renamed({"gate": {"top_k": 3, "margin": 0.0}}, {"gate.top_k": "policy.k"})
    {'gate': {'margin': 0.0}, 'policy': {'k': 3}}
    """
    found = dict(values)
    for (old_section, old), (section, name) in ((a.split("."), b.split(".")) for a, b in moved.items()):
        held, target = found.get(old_section), found.get(section, {})
        if isinstance(held, dict) and old in held and isinstance(target, dict):
            found[old_section] = {own: value for own, value in held.items() if own != old}
            if held[old] is not None:
                found[section] = {name: held[old], **target}
    return found
