"""From the values of a trial to settings, and to a parameter file that every target takes as `PARAMS=`."""

from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML

from bq.core import files, params
from bq.core.errors import BadParameters
from bq.core.settings import Settings

S = TypeVar("S", bound=Settings)
DIGITS = 6  # significant ones of a tuned number, in the file as in the backtest


def applied(settings: S, values: dict[str, Any]) -> S:
    """The settings with other values, by dotted name. Raises BadParameters where the strategy does not implement one.

    >>> from bq.core.settings import Market, Learning
    >>> given = Settings(strategy="toy", market=Market(), learning=Learning(features="a", model="b"))
    >>> applied(given, {"learning.seed": 8}).learning.seed
    8
    """
    whole = settings.model_dump()
    for name, value in values.items():
        _put(whole, name, rounded(value))
    try:
        return type(settings).model_validate(whole)
    except ValidationError as error:
        fault = error.errors()[0]
        raise BadParameters(
            f"tuning: `{'.'.join(map(str, fault['loc']))}` must be a value that the strategy implements, but got "
            f"{fault['input']!r}: {fault['msg']}."
        ) from None


def rounded(value: Any) -> Any:
    """A number without the digits that mean nothing.

    >>> rounded(2.3000000000000003), rounded(50)
    (2.3, 50)
    """
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def values_of(settings: Settings, names: Any) -> dict[str, Any]:
    """The settings' own values of these dotted names; what is not set is left out."""
    whole, found = settings.model_dump(), {}
    for name in names:
        node: Any = whole
        for part in name.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if node is not None:
            found[name] = node
    return found


def write(target: Path, values: dict[str, Any], model: type[Settings], *, source: Path, note: str) -> None:
    """Write a parameter file: the text of `source` with its comments, and `values` (by dotted name) put in.

    What was overridden by `SET=` is no part of it. note : comment at the top.
    Raises BadParameters should what was written not read back as it was meant.
    """
    yaml = YAML()  # round trip: keeps order and comments, constructs plain values only
    yaml.width, yaml.preserve_quotes = 200, True
    yaml.representer.add_representer(type(None), lambda own, _: own.represent_scalar("tag:yaml.org,2002:null", "null"))
    document = yaml.load(source.read_text("utf-8-sig"))
    for name, value in values.items():
        _put(document, name, rounded(value))
    text = StringIO()
    yaml.dump(document, text)
    files.write_text(target, "".join(f"# {line}\n" for line in note.splitlines()) + text.getvalue())
    if params.load(target, model) != applied(params.load(source, model), values):
        raise BadParameters(f"{target}: must read back as the settings it was written from, but does not.")


def _put(whole: dict[str, Any], name: str, value: Any) -> None:
    """Set a value by its dotted name; sections that are not there are made."""
    node, parts = whole, name.split(".")
    for part in parts[:-1]:
        if node.get(part) is None:
            node[part] = {}
        node = node[part]
    node[parts[-1]] = value
