"""What a person turns without opening a parameter file, as overrides of one."""

import csv
import datetime as dt
import json
import re
from collections.abc import Sequence

from bq.core.errors import BadParameters
from bq.core.settings import Settings

COUNTS = {"folds": "learning.folds", "top_k": "policy.k", "trials": "tuning.trials"}


def begins(settings: type[Settings]) -> str:
    """The parameter of the first decision, or of the first bar where a strategy decides on every bar."""
    return "events.first" if "events" in settings.model_fields else "market.start"


def overrides(
    settings: type[Settings],
    *,
    symbols: str | Sequence[str] = "",
    first: str | dt.date = "",
    last: str | dt.date = "",
    model: str = "",
    **counts: int,
) -> dict[str, str]:
    """`section.name=value` of each that was turned, by its own name; what is empty or 0 stays as in the file.

    settings : of the strategy. symbols : names, or one text with commas between them. first : date of the first
    decision, see `begins`. last : last session read. model : the candidate. counts : `folds`, `top_k`, `trials`.

    Raises BadParameters with the name, what must hold and what came.

    >>> from bq.strategies.butterfly.settings import ButterflySettings
    >>> overrides(ButterflySettings, symbols="AAPL,MSFT", first="2015-01-02", folds=4)
    {'symbols': 'market.symbols=["AAPL","MSFT"]', 'first': 'events.first=2015-01-02', 'folds': 'learning.folds=4'}
    """
    found = {
        "symbols": ("market.symbols", names("symbols", symbols)),
        "first": (begins(settings), _date("first", first)),
        "last": ("market.end", _date("last", last)),
        "model": ("learning.model", _text("model", model)),
        **{name: (COUNTS[name], _count(name, value)) for name, value in counts.items()},
    }
    return {name: f"{target}={text}" for name, (target, text) in found.items() if text}


def names(variable: str, given: str | Sequence[str]) -> str:
    """Symbols as an override takes them. A comma separates two; what else stands between commas is one name.

    given : `BRK B,000001` is two names; between double quotes a name may hold a comma too. variable : for errors.

    >>> names("SYMBOLS", "BRK B, 000001, TRUE")
    '["BRK\\\\u0020B","000001","TRUE"]'
    """
    try:
        found = next(csv.reader([given], skipinitialspace=True, strict=True)) if isinstance(given, str) else list(given)
    except csv.Error as error:
        raise BadParameters(f"`{variable}` must close the quotes that it opens, but got {given!r} ({error}).") from None
    found = [name.strip() if isinstance(name, str) else name for name in found]
    if found in ([], [""]):
        return ""
    if not all(isinstance(name, str) and name for name in found):
        raise BadParameters(f"`{variable}` must be names with commas between them (AAPL,MSFT), but got {given!r}.")
    return quoted(found)


def quoted(value: object) -> str:
    """JSON is YAML; without a blank, which would part it from its name."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return re.sub(r"\s", lambda blank: f"\\u{ord(blank[0]):04x}", text)


def _date(name: str, given: str | dt.date) -> str:
    try:
        return str(dt.date.fromisoformat(str(given))) if given else ""
    except ValueError:
        raise BadParameters(f"`{name}` must be a date such as 2019-05-31, but got {given!r}.") from None


def _text(name: str, given: str) -> str:
    if not isinstance(given, str):
        raise BadParameters(f"`{name}` must be a name, but got {given!r}.")
    return quoted(given) if given else ""


def _count(name: str, given: int) -> str:
    if type(given) is not int or given < 0:
        raise BadParameters(f"`{name}` must be a whole number, 0 for that of the parameter file, but got {given!r}.")
    return str(given) if given else ""
