"""One thing that a gate asks of a model."""

from typing import NamedTuple


class Component(NamedTuple):
    """One thing that must hold before a model is deployed."""

    name: str
    holds: bool | None  # None: inconclusive, which deploys nothing
    statement: str  # value, interval, threshold and sample in words
    needed: str  # what would have to change for it to hold; empty where it holds

    @staticmethod
    def of(name: str, holds: bool | None, statement: str, needed: str) -> "Component":
        """A component; what would be needed is dropped where it holds."""
        return Component(name, None if holds is None else bool(holds), statement, "" if holds else needed)
