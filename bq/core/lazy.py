"""Modules of others that cost more when imported than all that is used of them."""

import importlib
import sys
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any


def put_off(name: str, function: str) -> None:
    """Let `from name import function` import nothing yet: the module is imported when the function is first called.

    Any other name of the module is that of the real one, which is imported then. Nothing happens where the module is
    not installed, or has been imported already.
    """
    spec = PathFinder.find_spec(name)
    if spec is None or name in sys.modules:
        return

    def real() -> ModuleType:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return importlib.import_module(name)

    def called(*values: Any, **options: Any) -> Any:
        return getattr(real(), function)(*values, **options)

    def named(asked: str) -> Any:
        if asked.startswith("__"):  # what importlib asks of every module
            raise AttributeError(asked)
        return called if asked == function else getattr(real(), asked)

    stand_in = ModuleType(name)
    vars(stand_in)["__getattr__"] = named
    if spec.submodule_search_locations:
        stand_in.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = stand_in
