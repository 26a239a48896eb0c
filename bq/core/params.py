"""Strict parameters: YAML 1.2 and `SET=` overrides into validated models, or one clear sentence.

YAML 1.1 surprises (`NO` as false, `1e-3` as text, `010` as 8, `16:00` as 960) do not exist here: the loader is YAML
1.2, every model refuses unknown names and wrong types, and no value is coerced from text.

A file says only what differs: what it leaves out is as in the file that it `extends`, and at last as the model has it.
"""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML

from bq.core import faults, layers
from bq.core.errors import BadParameters
from bq.core.layers import Layers
from bq.core.section import Section

Model = TypeVar("Model", bound=Section)


def load(path: Path, model: type[Model], *, overrides: str | Mapping[str, str] = "") -> Model:
    """Read a parameter file and what it extends, apply overrides, validate.

    path : YAML file. overrides : `"section.name=value section.other=value"`, values in YAML syntax; or several of
    them by the variable that they came in, by which errors call them (default SET).
    Raises BadParameters naming the file or the variable, the name, what must hold and what came.
    """
    return validated(read(path, model, overrides=overrides), model)


def read(path: Path, model: type[Model], *, overrides: str | Mapping[str, str] = "") -> Layers:
    """What `load` validates: values by name, and where each comes from."""
    return layers.read(path, model, {"SET": overrides} if isinstance(overrides, str) else overrides)


def validated(found: Layers, model: type[Model]) -> Model:
    """The settings that were read. Raises BadParameters as `load` does."""
    try:
        return model.model_validate(found.values)
    except ValidationError as error:
        raise BadParameters(faults.explain(error, model, found, getattr(model, "older", {}))) from None
    except BadParameters as error:  # a rule across fields, already a whole sentence
        raise type(error)(f"{found.whole}: {error}") from None


def to_yaml(value: Any) -> str:
    """Write plain values as YAML 1.2."""
    stream = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(value, stream)
    return stream.getvalue()


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
