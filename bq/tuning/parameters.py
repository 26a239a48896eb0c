"""Values of a trial as settings, and as a parameter file that every target takes as `PARAMS=`."""

import copy
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from bq.core import files, params
from bq.core.errors import BadParameters
from bq.core.parameter_text import description, head, render
from bq.core.settings import Settings

S = TypeVar("S", bound=Settings)
DIGITS = 6  # significant digits of a tuned number, in the file as in the backtest


def applied(settings: S, values: dict[str, Any]) -> S:
    """The settings with other values, by dotted name. Raises BadParameters where a value is not implemented.

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
    """A number rounded to its significant digits.

    >>> rounded(2.3000000000000003), rounded(50)
    (2.3, 50)
    """
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def values_of(settings: Settings, names: Any) -> dict[str, Any]:
    """The settings' values of these dotted names; a name that is not set is left out."""
    whole, found = settings.model_dump(), {}
    for name in names:
        node: Any = whole
        for part in name.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if node is not None:
            found[name] = node
    return found


def write(target: Path, values: dict[str, Any], model: type[Settings], *, source: Path, note: str) -> None:
    """Write a whole parameter file: the effective values of `source` (and of what it extends), replaced by `values`.

    values : by dotted name. Overrides by `SET=` are not included. note : comment at the top.
    Raises BadParameters where the written file does not read back as intended.
    """
    whole = copy.deepcopy(params.read(source, model).values)
    for name, value in values.items():
        _put(whole, name, rounded(value))
    text = render(model, whole, comment=partial(description, model), top=f"{note}\n{head(model)}")
    files.write_text(target, text)
    if params.load(target, model) != applied(params.load(source, model), values):
        raise BadParameters(f"{target}: must read back as the settings it was written from, but does not.")


def _put(whole: dict[str, Any], name: str, value: Any) -> None:
    """Set a value by its dotted name; missing sections are created."""
    node, parts = whole, name.split(".")
    for part in parts[:-1]:
        if node.get(part) is None:
            node[part] = {}
        node = node[part]
    node[parts[-1]] = value
