"""What the user asked for: the variables of the Makefile, which arrive through the environment."""

import datetime as dt
import os
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from bq import strategies
from bq.core import params, paths
from bq.core.errors import BadParameters
from bq.core.layers import Layers, instead_of
from bq.core.namespace import KEYWORDS
from bq.core.settings import Settings
from bq.strategies import turned
from bq.strategies.contract import Strategy


class Format(StrEnum):
    """Of a report, beside the page."""

    PDF = "pdf"
    MAIL = "mail"  # the first screen alone


# targets that take a variable in a way of their own
REPLAY, COMPARISON, TUNE_WEIGHTS, CALIBRATE = "replay", "ab", "tune-weights", "calibrate"


class Request(NamedTuple):
    """A strategy with its validated settings, and the switches of the target."""

    strategy: Strategy
    settings: Settings
    force: bool
    quick: bool
    run_id: str | None
    date: dt.date | None
    event: str | None
    a: str | None  # of `diff`: the two runs
    b: str | None
    target: str | None  # of `tune`
    archive: str | None  # of `backup` and `restore`
    from_file: Path | None  # of `collect`: a labelled table; of `ab`: a list of trades
    format: Format | None  # of `report`
    permute: int  # of `audit`: how many orders of the bars; 0: none
    parameters: Path  # the file that the settings were read from
    layers: Layers  # where each of them comes from


def read(target: str = "") -> Request:
    """Read and check the variables that the Makefile exports; a fault changes nothing."""
    strategy = strategies.get(value("STRATEGY") or strategies.DEFAULT)
    path = Path(value("PARAMS") or paths.parameters(strategy.name))
    if not path.is_file():
        raise BadParameters(f"PARAMS must be a parameter file, but got {str(path)!r}; {instead_of(path)}")
    layers = params.read(path, strategy.settings, overrides=_overrides(strategy, target))
    settings = params.validated(layers, strategy.settings)
    strategy = strategies.of(settings)
    strategy.features(settings)
    _refuse_name(settings, layers)
    _refuse_no_dates(settings)
    return Request(
        strategy,
        settings,
        force=_on("FORCE"),
        quick=_on("QUICK"),
        run_id=value("RUN"),
        date=date("DATE"),
        event=value("EVENT"),
        a=value("A"),
        b=value("B"),
        target=value("TARGET"),
        archive=value("ARCHIVE"),
        from_file=Path(name) if (name := value("FROM_FILE")) else None,
        format=_format(),
        permute=_count("PERMUTE"),
        parameters=path,
        layers=layers,
    )


def _refuse_no_dates(settings: Settings) -> None:
    first, last = date("FROM"), date("TO") or settings.market.end  # of a replay, whose TO is no end of the market
    if first and last and first > last:
        raise BadParameters(
            f"FROM must not be after the last session read, but decisions would begin {first} (FROM) and bars end "
            f"{last} (TO, market.end): no date is left. Move one of them."
        )


def _refuse_name(settings: Settings, layers: Layers) -> None:
    """A universe called like another strategy, or like a part of every key, would be taken for it."""
    taken = {*strategies.MODULES, *KEYWORDS} - {settings.strategy}
    if settings.name in taken:
        raise BadParameters(
            f"{layers.where(('name',))}: `name` must not be one of {', '.join(sorted(taken))}, which mean something "
            f"else in a namespace, but got {settings.name!r}. Choose a name such as my_{settings.name}."
        )


def _overrides(strategy: Strategy, target: str) -> dict[str, str]:
    """`section.name=value …` by the variable that asks for it."""
    found = {}
    if _on("QUICK"):
        fewer = "" if target == TUNE_WEIGHTS else strategy.quick  # which needs every session
        found["QUICK"] = f"{fewer} tuning.trials=8"
    if value("FROM_FILE") and target != COMPARISON:  # whose file is a list of trades
        found["FROM_FILE"] = "market.source=labelled"
    if symbols := value("SYMBOLS"):
        found["SYMBOLS"] = f"market.symbols={turned.names('SYMBOLS', symbols)}"
    for name, place in (("FROM", turned.begins(strategy.settings)), ("TO", "market.end")):
        if date(name) and target != REPLAY:  # whose FROM and TO are days that are decided, with all history before
            found[name] = f"{place}={date(name)}"
    if trials := value("TRIALS"):
        found["TRIALS"] = f"tuning.trials={trials}"
    if objective := value("OBJECTIVE"):
        found["OBJECTIVE"] = f"tuning.objective={turned.quoted(objective)}"
    if _on("USE_RL"):
        found["USE_RL"] = "score.weights=learnt"
    if target != CALIBRATE:  # whose SET changes the files of the families
        found["SET"] = value("SET") or ""  # last: the most particular wins
    return found


def _on(name: str) -> bool:
    return (value(name) or "0").lower() not in ("0", "no", "false")


def _format() -> Format | None:
    text = value("FORMAT")
    if text and text not in list(Format):
        raise BadParameters(f"FORMAT must be one of {', '.join(Format)}, but got {text!r}.")
    return Format(text) if text else None


def _count(name: str) -> int:
    text = value(name) or "0"
    if not text.isdecimal():
        raise BadParameters(f"{name} must be a whole number such as 100, but got {text!r}.")
    return int(text)


def port(default: int) -> int:
    """The port to listen at: PORT, or this one."""
    text = value("PORT") or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise BadParameters(f"PORT must be a whole number from 1 to 65535, but got {text!r}.")
    return int(text)


def whole(name: str) -> int | None:
    """A variable as a number above 0; None where it is empty or not given."""
    text = value(name)
    if text and not (text.isdecimal() and int(text)):
        raise BadParameters(f"{name} must be a whole number above 0, but got {text!r}.")
    return int(text) if text else None


def value(name: str) -> str | None:
    """A variable as it was given, without blanks around it; None where it is empty or not given."""
    return os.environ.get(name, "").strip() or None


def date(name: str) -> dt.date | None:
    """A variable as a date; None where it is empty or not given."""
    text = value(name)
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise BadParameters(f"{name} must be a date such as 2019-05-31, but got {text!r}.") from None
