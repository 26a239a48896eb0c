"""`make params`: the parameters that take effect, as a parameter file, each with where it comes from."""

import datetime as dt
import sys
from collections.abc import Mapping
from functools import reduce
from typing import Any

from pydantic import ValidationError

from bq.core import paths
from bq.core.errors import BadParameters
from bq.core.parameter_text import around, flow, render
from bq.core.params import to_yaml
from bq.core.section import defaults
from bq.jobs.request import Request
from bq.workbench.screen import shown

LONGEST = 40  # of a default that is shown
NOTHING = object()
TOP = "{}: what takes effect.\nBehind each value is where it comes from, and in brackets a default that it replaces."


def main(request: Request) -> None:
    """Print them as YAML 1.2: read as a parameter file, the text gives the same settings.

    With DATE those by which the session was decided on, as its scan recorded them.
    """
    sys.stdout.write(text(request) if request.date is None else _decided_by(request, request.date))


def _decided_by(request: Request, session: dt.date) -> str:
    from bq.monitoring import looked_up

    found = looked_up.counting_parameters(request.settings.namespace, session)
    if found is None:
        raise BadParameters(
            f"DATE must be a session on which {request.settings.namespace} decided with recorded parameters, but on "
            f"{session} it did not: `make status DATE={session}` says who did."
        )
    try:
        return to_yaml(request.strategy.settings.recorded(found).model_dump(mode="python"))
    except (BadParameters, ValidationError):
        return f"# As an earlier version recorded them; this one does not take them.\n{to_yaml(found)}"


def text(request: Request) -> str:
    """What `main` prints."""
    model, values = request.strategy.settings, request.layers.values
    own = defaults(model)

    def comment(name: tuple[str, ...]) -> str:
        value = _at(values, name)
        holds_others = isinstance(value, dict) and around(model, (*name, "")) is not None
        return "" if holds_others else _origin(request, name, value, _at(own, name))

    files = " extends ".join(shown(layer.path) for layer in request.layers.files)
    return render(model, values, comment=comment, top=TOP.format(files))


def _origin(request: Request, name: tuple[str, ...], value: Any, default: Any) -> str:
    layers, shipped = request.layers, paths.parameters(request.strategy.name)
    variable, layer = layers.variable(name, partly=True), layers.file(name)
    file = f"{shown(layer.path)}:{layer.line(name)}" if layer else "default"
    if value == default:
        restated = variable is None and (layer is None or layer.path.resolve() == shipped)
        return "default" if restated else f"{variable or file}, as the default"
    replaced = "" if default is NOTHING else flow(default)
    return f"{variable or file}" + (f" (default: {replaced})" if 0 < len(replaced) <= LONGEST else "")


def _at(values: Mapping[str, Any], name: tuple[str, ...]) -> Any:
    """The value of that name; NOTHING where there is none."""
    return reduce(lambda node, key: node.get(key, NOTHING) if isinstance(node, Mapping) else NOTHING, name, values)
