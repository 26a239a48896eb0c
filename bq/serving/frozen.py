"""What a model was trained on and what it promised, as stored in its folder: monitoring compares the present with it.

One row an event that had matured when the model was made. Beside the whole bins of `support` there may be only a share
of the events: a large table is thinned by a digest of the event's id, so that every session keeps its share and later
events are thinned alike.
"""

import zlib

import polars as pl

from bq.core import files
from bq.strategies.events import FeatureSet
from bq.strategies.policy import EXPECTED
from bq.strategies.task import Task

MOST_BYTES = 3_000_000  # of the stored file
FIXED_BYTES = 80  # of a row beside its features: ids, times and predictions
OF_FEATURE = "feature:"  # before the name of a feature's column
OWN = ("answered", "answered_class")
HEAD = ("event_id", "session", "symbol", "t0", "t1", "t1_due", "score", "outcome")


def freeze(known: pl.DataFrame, oos: pl.DataFrame, newest: pl.DataFrame, features: FeatureSet, task: Task) -> bytes:
    """The reference as a Parquet file of at most MOST_BYTES.

    known : all matured events, with their features. oos : out-of-sample predictions of the model's own recipe; an event
    before the first test block has none. newest : predictions of the model itself, of what it was not trained on.

    Columns: HEAD, label (name of the class; null of a regression), predicted_class, probabilities (of each class in
    order), expected, answered and answered_class (what the model itself expects and predicts of the newest), share (of
    the events that are stored), and each feature after OF_FEATURE. Float32.
    """
    share = min(1.0, MOST_BYTES / (len(known) * (FIXED_BYTES + 4 * len(features.columns)) or 1))
    kept = thinned(known, share).sort("session", "t0", "symbol")
    columns = {f"{OF_FEATURE}{name}": pl.col(name).cast(pl.Float32) for name in features.columns}
    rows = kept.select(*HEAD, "label", **columns).join(_promised(oos, task), on="event_id", how="left")
    own = _promised(newest, task).select("event_id", answered=EXPECTED, answered_class="predicted_class")
    rows = rows.join(own, on="event_id", how="left")
    named = _name("label", task) if task.classes else pl.lit(None, pl.String)
    whole = rows.with_columns(pl.col("score", "outcome").cast(pl.Float32), label=named, share=pl.lit(share))
    first = [*HEAD, "label", "predicted_class", "probabilities", EXPECTED, *OWN, "share"]
    return files.parquet(whole.select(*first, *columns))


def thinned(events: pl.DataFrame, share: float) -> pl.DataFrame:
    """The events that belong to a share of all: the same ones whenever they are asked for."""
    if share >= 1.0:
        return events
    digests = [zlib.crc32(event_id.encode()) for event_id in events["event_id"]]
    return events.filter(pl.Series(digests, dtype=pl.Int64) < share * 2**32)


def _promised(oos: pl.DataFrame, task: Task) -> pl.DataFrame:
    """What was predicted of each event: event_id, predicted_class, probabilities, expected."""
    if not task.classes:
        unknown = {"predicted_class": pl.lit(None, pl.String), "probabilities": pl.lit(None, pl.List(pl.Float32))}
        return oos.select("event_id", pl.col(EXPECTED).cast(pl.Float32), **unknown)
    return oos.select(
        "event_id",
        pl.col(EXPECTED).cast(pl.Float32),
        predicted_class=_name("predicted", task),
        probabilities=pl.concat_list(pl.col(f"p_{name}").cast(pl.Float32) for name in task.classes),
    )


def _name(column: str, task: Task) -> pl.Expr:
    return pl.col(column).cast(pl.Int64).replace_strict(dict(enumerate(task.classes)), return_dtype=pl.String)
