"""YAML 1.2 text, and what its plain values are: where a parameter is text, they stay as they are written."""

import re
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from bq.core.errors import BadParameters

OTHER_VERSION = re.compile(r"^%YAML[ \t]+(?!1\.2\s*$)", re.MULTILINE)
TAG = "tag:yaml.org,2002:"
NO_TEXT = ("int", "float", "bool", "timestamp")  # what YAML makes of 000001, 1E5, TRUE and 2020-01-01


def read_yaml(text: str, *, where: str, kind: Any = None) -> Any:
    """Parse YAML 1.2 text with the safe loader; `where` names its origin in errors.

    kind : what the text is to hold, as an annotation or a model. Where that is text, a plain value is as it is written:

    >>> read_yaml("[000001, TRUE, 1E5, BRK B]", where="text", kind=list[str])
    ['000001', 'TRUE', '1E5', 'BRK B']
    """
    if OTHER_VERSION.search(text):
        raise BadParameters(f"{where}: must be YAML 1.2, but declares another version. Take the %YAML line out.")
    try:
        yaml = _yaml()
        node = yaml.compose(text)
        if node is None:
            return None
        if kind is not None:
            _keep_text(node, kind, set())
        return yaml.constructor.construct_document(node)
    except RecursionError:
        raise BadParameters(f"{where}: must be YAML 1.2, but is nested too deeply to be read.") from None
    except (YAMLError, ValueError, LookupError) as error:  # ruamel lets those of a wrong `!!int` or `!!bool` through
        raise BadParameters(f"{where}: must be YAML 1.2, but could not be read: {_reason(error)}.") from None


def nodes(text: str) -> Any:
    """The text with the place of each name in it."""
    return _yaml().compose(text)


def kind_of(model: type[BaseModel] | None, name: list[str]) -> Any:
    """The annotation of a dotted name; None where it is not known."""
    kind: Any = model
    for key in name:
        kind = _inside(kind, key)
    return kind


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 2)
    return yaml


def _keep_text(node: Node, kind: Any, seen: set[int]) -> None:
    """Mark as text, in the tree, the plain values that YAML takes for something else and `kind` for text."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, ScalarNode):
        if str(node.tag).removeprefix(TAG) in NO_TEXT or (node.tag == f"{TAG}null" and NoneType not in _choices(kind)):
            _as_text(node, kind)
    elif isinstance(node, SequenceNode):
        for held in node.value:
            _keep_text(held, _item(kind), seen)
    elif isinstance(node, MappingNode):
        for key, held in node.value:
            if any(get_origin(choice) is dict for choice in _choices(kind)):
                _keep_text(key, str, seen)
            _keep_text(held, _inside(kind, str(key.value)), seen)


def _as_text(node: ScalarNode, kind: Any) -> None:
    """Nothing at all is no text."""
    if node.value and str in _choices(kind):
        node.tag = f"{TAG}str"


def _choices(kind: Any) -> list[Any]:
    """The types that an annotation allows, without what is said beside them."""
    if isinstance(kind, type) and get_origin(kind) is None:
        return [kind]
    held = get_args(kind)
    if get_origin(kind) in (list, tuple, dict) or not held:
        return [kind]
    if hasattr(kind, "__metadata__"):
        return _choices(held[0])
    return [choice for part in held for choice in _choices(part)]


def _item(kind: Any) -> Any:
    return next((get_args(choice)[0] for choice in _choices(kind) if get_origin(choice) in (list, tuple)), None)


def _inside(kind: Any, name: str) -> Any:
    """The annotation of a name in a section or a mapping."""
    for choice in _choices(kind):
        if isinstance(choice, type) and issubclass(choice, BaseModel) and name in choice.model_fields:
            return choice.model_fields[name].annotation
        if get_origin(choice) is dict:
            return get_args(choice)[1]
    return None


def _reason(error: Exception) -> str:
    """What a YAML error says, on one line, with its place."""
    if isinstance(error, MarkedYAMLError) and error.problem and error.problem_mark:
        mark = error.problem_mark
        return f"{' '.join(error.problem.split())} (line {mark.line + 1}, column {mark.column + 1})"
    return " ".join(str(error).split())
