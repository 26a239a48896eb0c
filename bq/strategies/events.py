"""The one thing every part shares: the event table and its feature sets."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core.errors import BadData, BadParameters
from bq.core.files import digest
from bq.core.scalars import count
from bq.market.bars import sorted_by
from bq.strategies.task import Task

if TYPE_CHECKING:
    from bq.market import MarketData

UTC = pl.Datetime("us", "UTC")
SOURCES = ["real", "modelled", "simulated"]
NOTICES = {  # shown in red wherever outcomes of that source are
    "modelled": "Not evidence about the market: option prices are modelled.",
    "simulated": "Not evidence about the market: this market is simulated.",
}

HEAD: Mapping[str, pl.DataType] = {
    "event_id": pl.String(),
    "strategy": pl.String(),
    "symbol": pl.String(),
    "variant": pl.String(),
    "session": pl.Date(),
    "t0": UTC,
    "t1": UTC,
    "t1_due": UTC,
    "taken": pl.Boolean(),
    "source": pl.Enum(SOURCES),
    "weight": pl.Float32(),
    "score": pl.Float64(),
}
NEVER_NULL = (
    "event_id",
    "strategy",
    "symbol",
    "variant",
    "session",
    "t0",
    "t1_due",
    "taken",
    "source",
    "weight",
    "score",
)
JOINED = "+"  # between the names of feature sets, and of a user's own features, that stand together
REGIMES = "+regimes"  # between the name of a feature set and how many regimes stand behind its columns
OWN = "own:"  # before the columns of a feature set that names them itself
MINE = "mine."  # before the name of a user's own feature
LEAKS = ("score", "outcome", "label", "t1")  # a model that sees one of these judges itself

Wanted = Mapping[str, list[dt.date]]  # sessions at whose close a symbol is looked at


class FeatureSet(NamedTuple):
    """A named, ordered list of feature columns. A model answers only to the schema it was trained on."""

    name: str
    columns: tuple[str, ...]

    @property
    def schema_hash(self) -> str:
        """Digest of the ordered column names."""
        return digest(list(self.columns))

    def matrix(self, events: pl.DataFrame) -> NDArray[np.float32]:
        """The features of `events` as float32 of shape (n_events, n_features), missing as NaN.

        Raises BadData with the missing names where a column is absent.
        """
        missing = [name for name in self.columns if name not in events.columns]
        if missing:
            unexpected = sorted(set(events.columns) - set(HEAD) - {"outcome", "label"} - set(self.columns))
            raise BadData(
                f"events must hold every feature of {self.name} (schema {self.schema_hash}); missing: "
                f"{', '.join(missing)}; unexpected: {', '.join(unexpected) or 'none'}. Rebuild the events."
            )
        return events.select(pl.col(self.columns).cast(pl.Float32).fill_null(np.nan)).to_numpy()


class Built(NamedTuple):
    """What a strategy makes of a market."""

    events: pl.DataFrame  # the contract's columns (weight excepted) and, behind them, the strategy's own
    refused: pl.DataFrame = pl.DataFrame(  # dates that gave no event; a strategy may add columns
        schema={"symbol": pl.String, "session": pl.Date, "reason": pl.String}
    )


def regime_columns(states: int) -> tuple[str, ...]:
    """Names of the columns with the probability of each market regime, by falling volatility."""
    named = {2: ("bear", "bull"), 3: ("bear", "neutral", "bull")}
    return tuple(f"regime_{name}" for name in named.get(states, range(states)))


def own_features(columns: Sequence[str]) -> FeatureSet:
    """The feature set of columns that a user chose, called after them.

    >>> own_features(["vol_mispricing", "my_skew"]).name
    'own:vol_mispricing,my_skew'
    """
    return FeatureSet(OWN + ",".join(columns), tuple(columns))


def refuse_leaks(features: FeatureSet) -> FeatureSet:
    """Return `features`, or raise BadParameters where it names the baseline's score or an outcome."""
    ours = [name for name in features.columns if not name.startswith(MINE)]  # a user's are made of bars alone
    leaking = [name for name in ours if name in LEAKS or name.endswith("_score")]
    if leaking:
        raise BadParameters(
            f"feature set {features.name}: must not name the rule score or an outcome, but names {', '.join(leaking)}: "
            "it would leak the baseline or the answer into the model that is judged against it. Take them out."
        )
    return features


def weakest_source(events: pl.DataFrame) -> str:
    """The source that a statement about all of these events must name: simulated before modelled before real."""
    return SOURCES[count(events["source"].cast(pl.Enum(SOURCES)).to_physical().max())]


def event_id(strategy: str, symbol: str, t0: str, variant: str) -> str:
    """The id of an event: the same decision rebuilt tomorrow has the same id.

    >>> event_id("butterfly", "AAPL", "2010-01-08T21:00:00Z", "v-1")
    '83dafa8b4025e6fd171728212ad9e60f'
    """
    return hashlib.sha256("\x1f".join((strategy, symbol, t0, variant)).encode()).hexdigest()[:32]


def asked(rows: pl.DataFrame, wanted: Wanted) -> pl.DataFrame:
    """The rows of the wanted sessions of each symbol, in their order."""
    pairs = [(symbol, day) for symbol, days in wanted.items() for day in days]
    keys = pl.DataFrame(pairs, schema={"symbol": pl.String, "session": pl.Date}, orient="row")
    return rows.join(keys, on=["symbol", "session"], how="semi", maintain_order="left")


def completed(
    rows: pl.DataFrame, market: "MarketData", *, strategy: str, variant: str, holding_sessions: int | None = None
) -> pl.DataFrame:
    """Rows with what the contract asks of every strategy alike: id, times in UTC, names, source.

    rows : symbol, session (at whose close is decided), known (session at whose close the outcome was known; null while
    open), features, score and outcome; behind them the strategy's own columns. due : latest session at which it can
    be known, or holding_sessions after `session`. event_id, taken and source are kept where they are given, and are
    else made, true, and what the market is. `known` and `due` are dropped.
    """
    from bq.market.calendars import sessions

    calendar = sessions(market.calendar)
    closes, here = calendar["close_utc"], calendar["session"].search_sorted(rows["session"])
    due = calendar["session"].search_sorted(rows["due"]) if holding_sessions is None else here + holding_sessions
    t0 = closes.gather(here).cast(UTC)
    known = rows.select(pl.col("known").cast(pl.Date).replace_strict(calendar["session"], closes, return_dtype=UTC))
    given: dict[str, pl.Expr | pl.Series] = {
        "taken": pl.lit(True),
        "source": pl.lit("simulated" if market.source == "simulated" else "real"),
    }
    if "event_id" not in rows.columns:
        stamps = [time.isoformat() for time in t0]
        ids = [event_id(strategy, symbol, at, variant) for symbol, at in zip(rows["symbol"], stamps, strict=True)]
        given["event_id"] = pl.Series(ids, dtype=pl.String)
    return rows.with_columns(
        t0.alias("t0"),
        known["known"].alias("t1"),
        closes.gather(due).cast(UTC).alias("t1_due"),
        strategy=pl.lit(strategy),
        variant=pl.lit(variant),
        **{name: values for name, values in given.items() if name not in rows.columns},
    ).drop("known", "due", strict=False)


def average_uniqueness(first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.float32]:
    """Average uniqueness of label intervals: the mean over each label's bars of 1 / (labels that span the bar).

    first, last : bar numbers of shape (n,), both ends included. López de Prado 2018, ch. 4.

    >>> average_uniqueness(np.array([0, 2, 4]), np.array([2, 3, 5])).round(4)
    array([0.8333, 0.75  , 1.    ], dtype=float32)
    """
    if not len(first):
        return np.zeros(0, np.float32)
    start, n = first.min(), last.max() - first.min() + 1
    steps = np.bincount(first - start, minlength=n + 1) - np.bincount(last - start + 1, minlength=n + 1)
    concurrency = np.cumsum(steps)[:n]
    cumulative = np.concatenate([[0.0], np.cumsum(1.0 / np.maximum(concurrency, 1))])
    return ((cumulative[last - start + 1] - cumulative[first - start]) / (last - first + 1)).astype(np.float32)


def in_order(events: pl.DataFrame) -> pl.DataFrame:
    """The events sorted by (t0, symbol): an answer must not depend on the order in which rows come.

    Raises BadData where an id repeats: an event that stands there twice would count twice.
    """
    again = events["event_id"].is_duplicated()
    if again.any():
        first = events.filter(again).row(0, named=True)
        raise BadData(
            f"event ids must be unique, but {again.sum()} events share theirs, the first is {first['event_id']} "
            f"({first['symbol']}, {first['session']}). Take the copies out: events.unique('event_id')."
        )
    return sorted_by(events, ("t0", "symbol", "event_id"))


def conform(events: pl.DataFrame, features: FeatureSet, task: Task) -> pl.DataFrame:
    """Return the events with the contract's columns, order and types, sorted by (t0, symbol).

    Raises BadData where a column is missing or of another type, a required value is missing, an id repeats, a feature
    or an outcome is infinite, an interval is reversed, or an event is neither open nor closed.
    """
    kind = pl.Int64() if task.classes else pl.Float64()
    schema = {**HEAD, **{name: pl.Float32() for name in features.columns}, "outcome": pl.Float64(), "label": kind}
    missing = [name for name in schema if name not in events.columns]
    if missing:
        raise BadData(f"events must hold every column of the contract, but lack: {', '.join(missing)}.")
    frame = events.select(_cast(events[name], kind) for name, kind in schema.items())
    nulls = [name for name in NEVER_NULL if _missing(frame[name])]
    if nulls:
        raise BadData(f"events must have no missing {', '.join(nulls)}.")
    frame = in_order(frame)
    infinite = [name for name in (*features.columns, "score", "outcome") if frame[name].is_infinite().any()]
    if infinite:
        raise BadData(
            f"events must hold finite or missing numbers, but these columns hold infinite ones: {', '.join(infinite)}."
        )
    t0, t1, due = pl.col("t0"), pl.col("t1"), pl.col("t1_due")
    _refuse(frame.filter((due <= t0) | (t1 > due) | (t1 <= t0)), "satisfy t0 < t1 <= t1_due")
    is_open, outcome = t1.is_null(), pl.col("outcome")
    labelled = pl.col("label").is_not_null()
    unlabelled = ~is_open & ~labelled if task.classes else pl.lit(False)  # a small session has no z-scores
    torn = (is_open != outcome.is_null()) | (is_open & labelled) | unlabelled | outcome.is_nan()
    _refuse(frame.filter(torn), "have t1, outcome and label, or none of them while open")
    return frame


def _cast(column: pl.Series, kind: pl.DataType) -> pl.Series:
    try:
        return column.cast(kind)
    except pl.exceptions.PolarsError:
        raise BadData(
            f"events must hold `{column.name}` as {kind}, but it is {column.dtype} and does not fit."
        ) from None


def _missing(column: pl.Series) -> bool:
    return bool(column.null_count() or (column.dtype.is_float() and column.is_nan().any()))


def _refuse(wrong: pl.DataFrame, must: str) -> None:
    if len(wrong):
        raise BadData(
            f"events must {must}, but {len(wrong)} do not, the first is {wrong['event_id'][0]} "
            f"({wrong['symbol'][0]}, {wrong['session'][0]})."
        )


def matured(events: pl.DataFrame, *, cut: dt.datetime | None = None) -> pl.DataFrame:
    """Events that may train, count or be monitored at `cut`: `t1_due` <= cut, whether or not they closed early.

    cut : None is the newest end of an event (`t1`): by then it is known what all of these came to.
    """
    known = pl.col("t1").max() if cut is None else pl.lit(cut)
    return events.filter((pl.col("t1_due") <= known) & pl.col("label").is_not_null())
