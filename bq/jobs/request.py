"""What the user asked for: the variables of the Makefile, which arrive through the environment."""

import datetime as dt
import os
from pathlib import Path
from typing import NamedTuple

from bq import strategies
from bq.core import params, paths
from bq.core.errors import BadParameters
from bq.core.settings import Settings
from bq.strategies.contract import Strategy


class Request(NamedTuple):
    """A strategy with its validated settings, and the switches of the target."""

    strategy: Strategy
    settings: Settings
    force: bool
    quick: bool
    run_id: str | None
    date: dt.date | None
    event: str | None


def read() -> Request:
    """Read and check STRATEGY, PARAMS, SET, SYMBOLS, FROM, TO, QUICK, FORCE, RUN, DATE; a fault changes nothing."""
    strategy = strategies.get(_value("STRATEGY") or "butterfly")
    path = Path(_value("PARAMS") or paths.parameters(strategy.name))
    settings = params.load(path, strategy.settings, overrides=" ".join(_overrides(strategy)))
    strategy.features(settings)
    return Request(
        strategy, settings, bool(_value("FORCE")), bool(_value("QUICK")), _value("RUN"), _date("DATE"), _value("EVENT")
    )


def _overrides(strategy: Strategy) -> list[str]:
    found = [strategy.quick] if _value("QUICK") else []
    if _value("SYMBOLS"):
        found.append(f"market.symbols=[{','.join(_value('SYMBOLS').split(','))}]".replace(" ", ""))
    for name, target in (("FROM", "events.first"), ("TO", "market.end")):
        if _date(name):
            found.append(f"{target}={_date(name)}")
    return [*found, _value("SET") or ""]  # SET last: the most particular wins


def _value(name: str) -> str | None:
    return os.environ.get(name, "").strip() or None


def _date(name: str) -> dt.date | None:
    text = _value(name)
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise BadParameters(f"{name} must be a date such as 2019-05-31, but got {text!r}.") from None
