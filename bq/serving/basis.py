"""What out-of-sample results are made of: which events, at which costs and labels, decided on by which policy."""

import polars as pl

from bq.core import files
from bq.core.section import Affects, part
from bq.core.settings import Settings
from bq.serving.model_records import Basis

LENGTH = 12  # characters of a session's digest


def basis_of(oos: pl.DataFrame, settings: Settings) -> Basis:
    """The basis of one model's out-of-sample results. oos : its predictions."""
    each = oos.group_by("session", maintain_order=True)
    sessions = {str(day): events_digest(own, length=LENGTH) for (day,), own in each}
    return Basis(policy=files.digest(part(settings, Affects.EARNING)), sessions=sessions)


def events_digest(events: pl.DataFrame, *, length: int = 16) -> str:
    """Digest of events and of what came of them, whatever their order: of ids, outcomes and labels."""
    rows = events.select("event_id", "outcome", "label").sort("event_id")
    told = ["\x1f".join(rows["event_id"]).encode(), *(_bytes(rows[name]) for name in ("outcome", "label"))]
    return files.digest([files.sha256(content) for content in told], length)


def _bytes(values: pl.Series) -> bytes:
    return values.cast(pl.Float64).to_numpy().tobytes()
