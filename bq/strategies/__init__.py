"""Strategies turn a market into events. One module each, registered here by name."""

import importlib
from typing import TYPE_CHECKING

from bq.core.errors import BadParameters, did_you_mean

if TYPE_CHECKING:
    from bq.core.settings import Settings
    from bq.strategies.contract import Strategy

DEFAULT = "butterfly"
MODULES = {  # a strategy is a module with a `STRATEGY`
    "breakout": "bq.strategies.breakout",
    "butterfly": "bq.strategies.butterfly",
    "forecast": "bq.strategies.forecast",
}


def of(settings: "Settings") -> "Strategy":
    """The strategy of these settings; where a labelled table takes the place of bars, as it is then."""
    found = get(settings.strategy)
    if settings.market.table is None:
        return found
    from bq.strategies.labelled.form import of_table

    return of_table(found, settings)


def get(name: str) -> "Strategy":
    """The strategy of that name. Raises BadParameters with the nearest name otherwise."""
    if name not in MODULES:
        raise BadParameters(f"STRATEGY must name a strategy, but got {name!r}; {did_you_mean(name, MODULES)}")
    return importlib.import_module(MODULES[name]).STRATEGY
