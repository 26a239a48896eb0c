"""What the deployed model was trained on and promised, as its folder keeps it; models of before have none."""

import datetime as dt
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bq.core import files
from bq.core.errors import BadData
from bq.core.namespace import Namespace
from bq.serving import frozen, registry
from bq.serving.registry import Artefact


class Reference(NamedTuple):
    """A model's training and its out-of-sample predictions."""

    model_id: str
    classes: tuple[str, ...]  # empty of a regression
    columns: tuple[str, ...]  # features, in the model's order
    support: dict[str, dict[str, Any]]  # of all training events, see `support.describe`
    trained_through: dt.datetime
    share: float  # of the events, by which `thinned` takes others alike
    rows: pl.DataFrame  # sorted by session, t0, symbol; see `frozen.freeze`

    @property
    def trained(self) -> pl.DataFrame:
        """Rows that the model was trained on."""
        return self.rows.filter(pl.col("t1_due") <= self.trained_through)

    @property
    def promised(self) -> pl.DataFrame:
        """Rows with an out-of-sample prediction: event_id, session, symbol, t0, t1, t1_due, score, outcome, label,
        predicted_class, probabilities, expected."""
        known = self.rows.filter(pl.col("expected").is_not_null())
        return known.select(name for name in known.columns if not name.startswith(frozen.OF_FEATURE))

    @property
    def answered(self) -> pl.DataFrame:
        """What the model itself predicted of events that it was not trained on: session, t0, t1, expected,
        predicted_class. Walk-forward models predict on other levels than it does."""
        own = self.rows.filter(pl.col("answered").is_not_null())
        return own.select("session", "t0", "t1", expected="answered", predicted_class="answered_class")

    def matrix(self, rows: pl.DataFrame) -> NDArray[np.float32]:
        """Features of stored rows, float32 of shape (n_rows, n_features), NaN where missing."""
        return rows.select(pl.col(f"{frozen.OF_FEATURE}{name}").fill_null(np.nan) for name in self.columns).to_numpy()

    def thinned(self, events: pl.DataFrame) -> pl.DataFrame:
        """Later events as densely as the reference has its own."""
        return frozen.thinned(events, self.share)


def of(namespace: Namespace) -> Reference | None:
    """The reference of the deployed model; None where no model is deployed, or it was stored without one."""
    artefact = registry.champion(namespace)
    return None if artefact is None else of_model(artefact)


def of_model(artefact: Artefact) -> Reference | None:
    """The reference of a model; None where it was stored without one. Raises BadData where it cannot be read."""
    if artefact.reference is None:
        return None
    bundle = artefact.bundle
    try:
        rows = files.read_parquet(artefact.reference)
    except pl.exceptions.PolarsError as error:
        raise _unreadable(artefact, str(error)) from None
    features = [f"{frozen.OF_FEATURE}{name}" for name in bundle.columns]
    needed = [*frozen.HEAD, "label", "predicted_class", "probabilities", "expected", *frozen.OWN, "share", *features]
    lacking = [name for name in needed if name not in rows.columns]
    if lacking or rows.is_empty():
        raise _unreadable(artefact, f"it lacks {', '.join(lacking) or 'rows'}")
    return Reference(
        model_id=artefact.model_id,
        classes=tuple(bundle.classes),
        columns=tuple(bundle.columns),
        support=bundle.support,
        trained_through=bundle.trained_through,
        share=float(rows["share"][0]),
        rows=rows,
    )


def _unreadable(artefact: Artefact, why: str) -> BadData:
    return BadData(
        f"model {artefact.model_id}: {registry.REFERENCE} must be the events that it was made of, but {why}. Retrain."
    )
