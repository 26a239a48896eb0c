"""What a training leaves in its run folder, for the gate to judge: the artefact, its predictions, its parity."""

from pathlib import Path
from typing import NamedTuple

import polars as pl
import polars.selectors as cs

from bq.core import files
from bq.core.settings import Settings
from bq.learning import metrics
from bq.learning.metrics import Blocks
from bq.learning.walkforward import SUCCESS, Training
from bq.serving import gates, onnx, registry
from bq.serving.onnx import Parity
from bq.serving.registry import Artefact
from bq.strategies import store
from bq.strategies.contract import Strategy, Task, matured, weakest_source

MODELS = "candidate"  # folder of the artefacts inside a run folder
TABLES = ("oos", "newest", "metrics", "success_oos")


class Candidate(NamedTuple):
    """A training as the gate reads it."""

    artefact: Artefact
    oos: pl.DataFrame  # all models; see walkforward.Training
    newest: pl.DataFrame
    metrics: pl.DataFrame  # see `tables`
    parity: Parity
    success: Artefact  # the success-probability model, the second tier
    success_oos: pl.DataFrame  # of the success model alone
    success_parity: Parity

    @property
    def own_oos(self) -> pl.DataFrame:
        """Out-of-sample predictions of the candidate's own recipe."""
        return self.oos.filter(pl.col("model") == self.artefact.bundle["model"])


def recipe_digest(settings: Settings) -> str:
    """Digest of the way of training: a change of it is a new recipe, to be judged against the champion's.

    What is only shown beside the candidate is no part of it.
    """
    beside = {"market": True, "gate": True, "run": True, "learning": {"compare"}}
    return files.digest(settings.model_dump(mode="json", exclude=beside))


def save(
    training: Training,
    success: Training,
    events: pl.DataFrame,
    folder: Path,
    *,
    strategy: Strategy,
    settings: Settings,
) -> Candidate:
    """Export both artefacts, measure their parity, and write everything below `folder`.

    training : of the strategy's classes. success : of the task SUCCESS, the second tier.
    """
    table = tables(training.oos, strategy, settings)
    plain = table.with_columns(cs.float().fill_nan(None))  # JSON has no NaN
    own = plain.filter(pl.col("model") == training.artefact.name).drop("model")
    metrics_oos = {"metrics_oos": own.to_dicts()}
    task = strategy.task(settings)
    artefact, parity = _export(training, task, events, strategy=strategy, settings=settings, card=metrics_oos)
    second, second_parity = _export(success, SUCCESS, events, strategy=strategy, settings=settings, card={})
    for made in (artefact, second):
        registry.store(made, folder / MODELS)
    known = {
        "model_id": artefact.model_id,
        "parity": parity._asdict(),
        "success_id": second.model_id,
        "success_parity": second_parity._asdict(),
    }
    success_oos = success.oos.filter(pl.col("model") == success.artefact.name)
    result = Candidate(artefact, training.oos, training.newest, table, parity, second, success_oos, second_parity)
    for name in TABLES:
        files.write_parquet(folder / f"{name}.parquet", getattr(result, name))
    files.write_parquet(folder / "folds.parquet", training.folds)
    files.write_json(folder / "metrics.json", plain.to_dicts())
    files.write_json(folder / "candidate.json", known)
    return result


def _export(
    training: Training, task: Task, events: pl.DataFrame, *, strategy: Strategy, settings: Settings, card: dict
) -> tuple[Artefact, Parity]:
    features = strategy.features(settings)
    graph = onnx.export(training.artefact)
    known = matured(events, cut=training.trained_through)
    parity = onnx.parity(training.artefact, graph, features.matrix(known), seed=settings.learning.seed)
    bundle = {
        "strategy": strategy.name,
        "model": training.artefact.name,
        "features": features.name,
        "schema_hash": features.schema_hash,
        "columns": list(features.columns),
        "classes": list(task.classes),
        "edges": list(task.edges),
        "threshold": training.artefact.threshold,
        "recipe": recipe_digest(settings),
        "source": weakest_source(events),
        "events_hash": store.events_hash(events, features),
        "trained_events": len(known),
        "trained_through": training.trained_through.isoformat(),
        "seed": settings.learning.seed,
    }
    return Artefact(graph, bundle, {"parameters": settings.model_dump(mode="json"), **card}), parity


def tables(oos: pl.DataFrame, strategy: Strategy, settings: Settings) -> pl.DataFrame:
    """`metrics.table` of every model in an out-of-sample stream, with the column `model` in front."""
    task, k = strategy.task(settings), settings.gate.top_k
    parts = [
        metrics.table(own, task, blocks=blocks(own, settings), k=k).select(pl.lit(model).alias("model"), pl.all())
        for (model,), own in oos.group_by("model", maintain_order=True)
    ]
    return pl.concat(parts)


def load(folder: Path) -> Candidate:
    """Read what `save` wrote; the artefacts' hashes are checked."""
    known = files.read_json(folder / "candidate.json")
    return Candidate(
        artefact=registry.load(folder / MODELS / known["model_id"]),
        parity=Parity(**known["parity"]),
        success=registry.load(folder / MODELS / known["success_id"]),
        success_parity=Parity(**known["success_parity"]),
        **{name: pl.read_parquet(folder / f"{name}.parquet") for name in TABLES},
    )


def blocks(oos: pl.DataFrame, settings: Settings) -> Blocks:
    """How the sessions of a stream are resampled: the gate's rule."""
    return gates.blocks(oos, settings.gate, settings.learning.seed)
