"""From what a validation found to sentences: which name, what must hold, what came, and where."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from bq.core.errors import describe, did_you_mean
from bq.core.layers import Layers
from bq.core.section import section_of

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


def explain(error: ValidationError, model: type[BaseModel], layers: Layers, older: Mapping[str, str]) -> str:
    """One sentence a fault, at most five; of a file for another strategy that alone, from which the others follow.

    older : names that an older configuration had, and what took their place.
    """
    faults = error.errors()
    other = [fault for fault in faults if fault["loc"] == ("strategy",) and fault["type"] == "literal_error"]
    if other:
        sentence = _sentence(other[0], model, layers, older)
        return f"{sentence} Take a file of that strategy, or name the file's own strategy with STRATEGY=."
    return "\n".join(_sentence(fault, model, layers, older) for fault in faults[:5])


def _sentence(fault: Any, model: type[BaseModel], layers: Layers, older: Mapping[str, str]) -> str:
    name, where = ".".join(map(str, fault["loc"])), layers.where(fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{where}: `{name}` is not a parameter; {older.get(name) or _nearest(name, model)}"
    if fault["type"] == "missing":
        return f"{where}: `{name}` must be given, but is absent."
    must = MUST.get(fault["type"]) or WORDING.sub("", fault["msg"])
    if fault["type"] == "value_error":  # a rule across fields, which says itself what came
        return f"{layers.whole}: `{name}` must {must}."
    return f"{where}: `{name}` must {must}, but got {describe(fault['input'])}."


def _nearest(name: str, model: type[BaseModel]) -> str:
    """What an unknown name may have meant: one of its section or, failing that, one of another section."""
    section, _, last = name.rpartition(".")
    parts = [known.rpartition(".") for known in names(model)]
    beside = {own: f"{of}.{own}".strip(".") for of, _, own in parts if of == section}
    elsewhere = {own: f"{of}.{own}" for of, _, own in reversed(parts) if of}
    for known in (beside, elsewhere):
        if near := difflib.get_close_matches(last, known, n=1):
            return f"did you mean `{known[near[0]]}`?"
    return did_you_mean(last, beside)


def names(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted names of all sections and parameters, those of a section after it."""
    found = []
    for name in model.model_fields:
        found.append(prefix + name)
        if section := section_of(model, name):
            found += names(section, f"{prefix}{name}.")
    return found
