"""The cell of parameters with which a notebook begins: the names that it assigns, and whether they are parameters."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from bq.core.errors import BadParameters, describe, did_you_mean, nearest

SLIP = 0.75  # least likeness of a mistyped name: a letter more, less or exchanged; `start` is none of `strategy`


def assigned(source: str) -> set[str]:
    """The names that the lines of a cell assign. Raises SyntaxError where it is no Python.

    >>> sorted(assigned("folds = 4  # count\\nfirst: str = ''"))
    ['first', 'folds']
    """
    names = set()
    for statement in ast.parse(source).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def check(namespace: Mapping[str, Any], names: Sequence[str], switches: Sequence[str] = ()) -> None:
    """Refuse a mistyped parameter, a missing one, and a switch that is neither true nor false.

    namespace : of the notebook; its `In` are the cells that ran. names : of its parameters. switches : which of them
    are true or false. Another variable is taken for a mistyped parameter where its name is near and its cell does not
    use it.

    Raises BadParameters.
    """
    for name in sorted(_idle(namespace.get("In", ()), set(names))):
        if nearest(name, names, cutoff=SLIP):
            raise BadParameters(f"`{name}` is not a parameter of this notebook; {did_you_mean(name, names)}")
    for name in names:
        if name not in namespace:
            raise BadParameters(f"`{name}` must be set in the first cell, but is not.")
    for name in switches:
        if type(namespace[name]) is not bool:
            raise BadParameters(f"`{name}` must be True or False, but got {describe(namespace[name])}.")


def _idle(ran: Sequence[str], parameters: set[str]) -> set[str]:
    """What the newest cell with half of the parameters or more assigns beside them and does not use."""
    for source in reversed(ran):
        try:
            found = assigned(source)
        except SyntaxError:
            continue
        if 2 * len(found & parameters) >= len(parameters):
            tree = ast.walk(ast.parse(source))
            used = {node.id for node in tree if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
            return found - parameters - used
    return set()
