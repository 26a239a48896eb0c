"""Features of the user's own: registered in files of data/raw/features/ (`bq.features`), named `mine.<name>`.

A file is a Python module that registers one feature or several:

    import bq
    import polars as pl

    bq.features.register("dip_20", pl.col("close") / pl.col("close").rolling_max(20) - 1, needs=["close"])

`learning.features: [butterfly_v3, mine.*]` trains on it. A feature is computed over the whole history of a symbol at
once and joined to events by session; whether a value uses later bars is seen by computing it again on shorter histories
(`bq.audit`). Files run with the rights of whoever starts a run, like any program.
"""

import importlib.abc
import importlib.util
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core import files, paths
from bq.core.errors import BadData, BadParameters, did_you_mean
from bq.strategies.events import MINE

if TYPE_CHECKING:
    from bq.market import MarketData

KEYS = ("symbol", "session")
INPUTS = ("open", "high", "low", "close", "volume", "turnover", "iv", "quoted")  # what a feature may need of a bar
NAME = re.compile(r"[a-z][a-z0-9_]*")
Values = pl.Series | NDArray[np.generic]
Function = Callable[[pl.DataFrame], Values]


class Registered(NamedTuple):
    """A registered feature."""

    name: str  # with the prefix
    function: pl.Expr | Function
    needs: tuple[str, ...]
    across: bool  # whether it takes the bars of all symbols together
    file: str = ""  # that registers it; empty: a notebook
    digest: str | None = None  # SHA-256 of that file

    @property
    def called(self) -> str:
        """Name and file, for people."""
        return f"{self.name} ({self.file or 'registered by hand'})"


class _File(NamedTuple):
    """A file that is being run, and what it has registered so far."""

    path: Path
    digest: str
    found: dict[str, Registered]


_by_hand: dict[str, Registered] = {}
_running: ContextVar[_File | None] = ContextVar("running", default=None)


def register(
    name: str, function: pl.Expr | Function, *, needs: Sequence[str] = ("close",), across: bool = False
) -> None:
    """Make a feature known as `mine.<name>`: in a file of data/raw/features/, or by hand to look at it.

    Only a feature of a file may reach a champion: the file's digest is kept with the model.

    Parameters
    ----------
    name : lower-case letters, digits and _.
    function : a polars expression, or a function of a DataFrame that returns as many numbers as it has rows (a Series
        or an array; missing as null or NaN). A value may use its own and earlier rows alone: it is what is known at the
        session's close.
    needs : columns it is given beside symbol and session: open, high, low, close (continuous through splits and
        dividends: only ratios mean anything), volume (in shares of the first bar), turnover (as quoted), iv (null where
        none is published), quoted (the close as quoted; null where the source does not know it).
    across : a function is given the bars of all symbols at once, sorted by symbol and session; else those of one.

    Raises BadParameters for a name that exists or is none, and for needs that bars do not have.

    Examples
    --------
    >>> import bq
    >>> import polars as pl
    >>> bq.features.register("dip_20", pl.col("close") / pl.col("close").rolling_max(20) - 1)
    >>> settings = bq.params("breakout", overrides="learning.features=[breakout_v1,mine.dip_20]")
    """
    running = _running.get()
    where = running.path.name if running else ""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadParameters(
            f"features.register: `name` must be lower-case letters, digits and _, but got {name!r:.60}."
        )
    wanted = (needs,) if isinstance(needs, str) else tuple(needs)
    for column in wanted:
        if column not in INPUTS:
            raise BadParameters(
                f"features.register: `needs` of {name} must be columns of bars, but got {column!r}; "
                f"{did_you_mean(str(column), INPUTS)}"
            )
    if not (isinstance(function, pl.Expr) or callable(function)):
        raise BadParameters(
            f"features.register: `function` of {name} must be a polars expression or a function, but got "
            f"{function!r:.60}."
        )
    if across and isinstance(function, pl.Expr):
        raise BadParameters(
            f"features.register: `function` of {name} must be a function where `across` is true, but is a polars "
            "expression: polars answers one window inside another (.over(…) of .over(…)) with nulls. Write a function "
            "that makes a column first."
        )
    own = Registered(MINE + name, function, wanted, across, where, running.digest if running else None)
    taken = (running.found if running else of_files()).get(own.name)
    if taken:
        raise BadParameters(f"features.register: {own.name} must be registered once, but {taken.file} has it already.")
    (running.found if running else _by_hand)[own.name] = own


def of_files() -> Mapping[str, Registered]:
    """What the files of data/raw/features/ register, in the order of their names.

    Raises BadParameters where a file cannot be run, naming its line.
    """
    folder = paths.raw_features()
    contents = tuple((path, files.read_bytes(path)) for path in sorted(folder.glob("*.py")))
    return _run(contents)


def known() -> Mapping[str, Registered]:
    """All registered features by name: those of files, then those registered by hand."""
    found = of_files()
    return {**_by_hand, **found} if _by_hand else found


def matching(pattern: str) -> tuple[str, ...]:
    """Names of the registered features that a pattern (`mine.*`) means. Raises BadParameters where there is none."""
    everything = known()
    found = tuple(name for name in everything if fnmatchcase(name, pattern))
    if not found:
        hint = did_you_mean(pattern, everything) if everything else "no file there registers any"
        raise BadParameters(
            f"`learning.features`: {pattern} must name a feature registered in {paths.raw_features()}, but names none; "
            f"{hint}."
        )
    return found


def digests(columns: Sequence[str]) -> dict[str, str | None]:
    """Digest of the file of each of the user's own features among the columns; None of one registered by hand."""
    own = [name for name in columns if name.startswith(MINE)]
    everything = known() if own else {}
    return {name: everything[name].digest for name in own}


def inputs(market: "MarketData") -> pl.DataFrame:
    """What features are given of a market's bars: KEYS and INPUTS, sorted by symbol and session."""
    from bq.market.bars import continuous, continuous_volume

    return market.bars.select(
        *KEYS,
        *(continuous(name).alias(name) for name in ("open", "high", "low", "close")),
        continuous_volume(market.bars).alias("volume"),
        (pl.col("close") * pl.col("volume")).alias("turnover"),
        "iv",
        pl.when("quoted").then("close").alias("quoted"),
    ).sort(KEYS)


def compute(own: Registered, bars: pl.DataFrame) -> pl.DataFrame:
    """Values of a feature on bars as `inputs` gives them: KEYS and the feature (Float64, null where missing).

    Raises BadData where the function raises, or returns another length or type, or an infinite value.
    """
    parts = [bars] if own.across else bars.partition_by("symbol", maintain_order=True)
    return pl.concat([part.select(*KEYS, _values(own, part)) for part in parts])


def attach(events: pl.DataFrame, market: "MarketData", columns: Sequence[str]) -> pl.DataFrame:
    """Events with the user's own features among `columns`, by their symbol and session.

    Raises BadParameters where there are no bars, BadData as `compute`.
    """
    own = [name for name in columns if name.startswith(MINE)]
    if not own:
        return events
    if market.bars.is_empty():
        raise BadParameters(
            "`learning.features` must not name features of your own where there are no bars to make them of, but names "
            f"{', '.join(own)}. A labelled table holds its own: name them in market.labelled.features."
        )
    everything, bars = known(), inputs(market)
    mine = bars.join(events.select("symbol").unique(), on="symbol", how="semi", maintain_order="left")
    keys = events.select(*KEYS)
    found = [
        keys.join(compute(feature, bars if feature.across else mine), on=KEYS, how="left", maintain_order="left")[name]
        for name, feature in ((name, everything[name]) for name in own)
    ]
    return events.drop(own, strict=False).hstack([values.cast(pl.Float32) for values in found])


def _values(own: Registered, bars: pl.DataFrame) -> pl.Series:
    given = bars.select(*KEYS, *own.needs)
    try:
        returned = given.select(own.function).to_series() if isinstance(own.function, pl.Expr) else own.function(given)
    except Exception as error:  # a user's code may raise anything
        raise BadData(
            f"feature {own.called}: must be computed on {_span(bars)}, but raised {_said(error)}. It is given "
            f"{', '.join(given.columns)}."
        ) from error
    return _checked(own, returned, bars)


def _checked(own: Registered, returned: object, bars: pl.DataFrame) -> pl.Series:
    """What a function returned, as numbers; its name is the feature's."""
    if isinstance(returned, np.ndarray) and returned.ndim == 1 and returned.dtype.kind in "fiub":
        returned = pl.Series(own.name, returned)
    numbers = isinstance(returned, pl.Series) and (returned.dtype.is_numeric() or returned.dtype == pl.Boolean)
    if not isinstance(returned, pl.Series) or not numbers:
        kind = returned.dtype if isinstance(returned, pl.Series | np.ndarray) else type(returned).__name__
        raise BadData(
            f"feature {own.called}: must be a Series or an array of numbers, but on {_span(bars)} is {kind}. Return "
            "one number a bar."
        )
    if len(returned) != len(bars):
        raise BadData(
            f"feature {own.called}: must have one value a bar, but has {len(returned):,} in "
            f"{_span(bars)}. Return null where a value is not known."
        )
    values = returned.cast(pl.Float64).fill_nan(None).alias(own.name)
    infinite = values.cast(pl.Float32).is_infinite().fill_null(False)
    if infinite.any():
        first = bars.filter(infinite).row(0, named=True)
        raise BadData(
            f"feature {own.called}: must be finite or missing, but is infinite on {infinite.sum():,} bars, the first "
            f"is {first['symbol']} on {first['session']}. Return null where a divisor is 0."
        )
    return values


def _span(bars: pl.DataFrame) -> str:
    symbols = bars["symbol"].unique()
    return f"the {len(bars):,} bars of {symbols[0] if len(symbols) == 1 else f'{len(symbols)} symbols'}"


@lru_cache(maxsize=4)
def _run(contents: tuple[tuple[Path, bytes], ...]) -> Mapping[str, Registered]:
    """Run files of these contents; what they register."""
    found: dict[str, Registered] = {}
    for path, content in contents:
        token = _running.set(_File(path, files.sha256(content), found))
        try:
            loader = _Source(path, content)
            spec = importlib.util.spec_from_loader(f"bq_features_{path.stem}", loader)
            assert spec is not None
            loader.exec_module(importlib.util.module_from_spec(spec))
        except BadParameters as error:
            raise BadParameters(f"{path}: {error}") from None
        except Exception as error:  # a user's code may raise anything
            line = _line(error, path)
            raise BadParameters(
                f"{path}{line}: must run, but raised {_said(error)}. Mend it or move it away."
            ) from error
        finally:
            _running.reset(token)
    return found


class _Source(importlib.abc.SourceLoader):
    """Loads a module from the very bytes whose digest is kept; no compiled copy is read or written."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path, self._content = path, content

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def get_data(self, path: str | bytes) -> bytes:
        return self._content


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _line(error: Exception, path: Path) -> str:
    """Where in a file an error arose."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""
