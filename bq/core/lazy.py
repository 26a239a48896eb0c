"""Modules of others that cost more when imported than all that is used of them."""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def put_off(name: str, function: str) -> None:
    """Let `from name import function` import nothing yet: the module is imported when the function is first called.

    Any other name of the module is that of the real one, which is imported then. Nothing happens where the module has
    been imported already.
    """

    def real() -> ModuleType:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return importlib.import_module(name)

    def called(*values: Any, **options: Any) -> Any:
        return getattr(real(), function)(*values, **options)

    def named(asked: str) -> Callable[..., Any]:
        if asked.startswith("__"):  # what importlib asks of every module
            raise AttributeError(asked)
        return called if asked == function else getattr(real(), asked)

    stand_in = ModuleType(name)
    vars(stand_in)["__getattr__"] = named
    sys.modules.setdefault(name, stand_in)
