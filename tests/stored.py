"""Records as they are stored, whole, so that a test names only what it is about."""

from typing import Any

from bq.runs.record import RunRecord
from bq.serving.model_records import Bundle, Card
from bq.serving.registry import Artefact

BUNDLE = {
    "strategy": "toy",
    "model": "lightgbm",
    "features": "toy_v1",
    "schema_hash": "hash of the features",
    "columns": ["a"],
    "classes": ["Bad", "Good"],
    "edges": [0.0],
    "trade_above": 0.0,
    "threshold": None,
    "recipe": "recipe",
    "source": "simulated",
    "events_hash": "hash of the events",
    "trained_events": 100,
    "trained_through": "2020-01-01T00:00:00+00:00",
    "support": {},
    "seed": 7,
}


def artefact(graph: bytes = b"graph", *, card: dict[str, Any] | None = None, **bundle: Any) -> Artefact:
    """A model whose graph no one asks."""
    return Artefact.of(graph, Bundle(**BUNDLE | bundle), Card(**card or {}))


def run_record(run_id: str = "20260101T000000Z_toy", **changes: Any) -> RunRecord:
    """The record of a retrain that kept the champion."""
    whole = {"run_id": run_id, "namespace": "toy", "job": "retrain", "status": "kept", "error": None}
    return RunRecord(**whole | changes)
