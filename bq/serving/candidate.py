"""A candidate in its run folder, for the gate to judge: the artefact, its predictions and its ONNX parity."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from bq.core import files
from bq.core.errors import BadData
from bq.core.log import log
from bq.core.namespace import Namespace, Tier
from bq.core.section import Affects, part
from bq.core.settings import Settings
from bq.learning import layer_diagnostics, metrics, walkforward
from bq.learning.model import FittedModel
from bq.learning.sample import Float32
from bq.learning.walkforward import NOTES, Training
from bq.runs.folder import table as table_file
from bq.serving import frozen, gates, onnx, registry, support
from bq.serving.basis import basis_of
from bq.serving.model_records import Bundle, Card, Chosen, ParityRecord, Probe, Saved
from bq.serving.onnx import Parity
from bq.serving.registry import Artefact
from bq.strategies import registered, store
from bq.strategies.contract import Strategy
from bq.strategies.events import matured, regime_columns, weakest_source
from bq.strategies.policy import FROM
from bq.strategies.task import Task

MODELS = "candidate"  # folder of the artefacts inside a run folder
TABLES = ("oos", "newest", "metrics", "folds", "layers", "notes", "importances", "weights")
SUCCESS_TABLES = ("success_oos", "success_newest")
RECORD = "candidate.json"  # what is known of them, written last
PROBES = 8  # rows with known answers that are stored with a model


class Candidate(NamedTuple):
    """A training as the gate reads it."""

    artefact: Artefact
    oos: pl.DataFrame  # all models; see walkforward.Training
    newest: pl.DataFrame
    metrics: pl.DataFrame  # see `tables`
    folds: pl.DataFrame  # see walkforward.Training, as the next two
    layers: pl.DataFrame
    notes: pl.DataFrame
    importances: pl.DataFrame  # see layer_diagnostics, as the next
    weights: pl.DataFrame
    parity: Parity
    success: Artefact | None = None  # the success-probability model, where the strategy has a second tier
    success_oos: pl.DataFrame | None = None  # of the success model alone
    success_newest: pl.DataFrame | None = None
    success_parity: Parity | None = None

    @property
    def own_oos(self) -> pl.DataFrame:
        """Out-of-sample predictions of the candidate's own recipe."""
        return self.oos.filter(pl.col("model") == self.artefact.bundle.model)


def recipe_digest(settings: Settings, of_files: Mapping[str, str | None]) -> str:
    """Digest of a recipe: a changed recipe is judged against the champion's.

    of_files : digest of the file of each of the user's own features. Parameters that affect only what is shown, judged
    or tuned are not part of it.
    """
    parameters = part(settings, Affects.RECIPE)
    return files.digest([parameters, dict(of_files)] if of_files else parameters)


def train(events: pl.DataFrame, strategy: Strategy, settings: Settings, folder: Path | None = None) -> Candidate:
    """Walk-forward training of both tiers as the notebook does it, and the candidate.

    folder : of a run, to which everything is written; None writes nothing.
    """
    namespace = settings.namespace
    training = walkforward.train(events, strategy, settings, ends=ends_of(namespace, strategy, settings))
    success = None
    if strategy.success is not None:
        before = ends_of(namespace.second, strategy, settings)
        success = walkforward.train(events, strategy, settings, task=strategy.success, ends=before)
    if folder is None:
        return make(training, success, events, strategy=strategy, settings=settings)
    return save(training, success, events, folder, strategy=strategy, settings=settings)


def ends_of(namespace: Namespace, strategy: Strategy, settings: Settings) -> list[dt.datetime]:
    """Ends of the trainings of the deployed model from which a training goes on (`learning.warm_start`).

    None where no model is deployed, it cannot be read, or it is of another recipe: then the training begins anew.
    """
    if not settings.learning.warm_start:
        return []
    try:
        deployed = registry.champion(namespace)
    except (BadData, OSError) as error:
        log.warning("%s: the training begins anew, as what is deployed cannot be read: %s", namespace, error)
        return []
    own = registered.digests(strategy.features(settings).columns)
    alike = deployed is not None and deployed.bundle.recipe == recipe_digest(settings, own)
    return deployed.card.ends if deployed is not None and alike else []


def save(
    training: Training,
    success: Training | None,
    events: pl.DataFrame,
    folder: Path,
    *,
    strategy: Strategy,
    settings: Settings,
) -> Candidate:
    """`make`, and write everything below `folder`."""
    made = make(training, success, events, strategy=strategy, settings=settings)
    _write(made, folder)
    return made


def make(
    training: Training, success: Training | None, events: pl.DataFrame, *, strategy: Strategy, settings: Settings
) -> Candidate:
    """Export the artefacts and measure their parity.

    training : for the strategy's task. success : for that of its second tier, where it has one.
    """
    table = tables(training.oos, strategy, settings)
    oos = training.oos.filter(pl.col("model") == training.artefact.name)
    card = _card(table, oos, strategy.value.earned(oos, "expected", settings), settings, training.ends)
    features, regimes = strategy.features(settings), settings.learning.regimes
    known = matured(events)
    artefact, parity = _export(training, Tier.CHAMPION, events, strategy, settings, card)
    artefact = replace(
        artefact, reference=frozen.freeze(known, oos, training.newest, features, strategy.task(settings))
    )
    made = Candidate(
        artefact=artefact,
        oos=training.oos,
        newest=training.newest,
        metrics=table,
        folds=training.folds,
        layers=training.layers,
        notes=training.notes,
        importances=layer_diagnostics.importances(training.artefact, features),
        weights=layer_diagnostics.weights(training.artefact, regime_columns(regimes.states) if regimes else ()),
        parity=parity,
    )
    task = strategy.success
    if success is None or task is None:
        return made
    alone = success.oos.filter(pl.col("model") == success.artefact.name)
    figures = tables(alone, strategy, settings, task=task)
    card = _card(figures, alone, gates.success_values(alone, task, settings), settings, success.ends)
    second, second_parity = _export(success, Tier.SECOND, events, strategy, settings, card)
    labelled = known.with_columns(label=task.label(pl.col("outcome")))
    second = replace(second, reference=frozen.freeze(labelled, alone, success.newest, features, task))
    return made._replace(success=second, success_parity=second_parity, success_oos=alone, success_newest=success.newest)


def _card(
    table: pl.DataFrame, oos: pl.DataFrame, values: pl.DataFrame, settings: Settings, ends: Sequence[dt.datetime]
) -> Card:
    """Parameters and figures of a model, and the out-of-sample result of its recipe. oos : of that model alone."""
    own = _plain(table).filter(pl.col("model") == oos["model"][0]).drop("model")
    return Card(
        parameters=settings.model_dump(mode="json"),
        metrics_oos=own.to_dicts(),
        oos_values=[(str(day), value) for day, value in values.rows()],
        basis=basis_of(oos, settings),
        ends=list(ends),
    )


def _plain(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(cs.float().fill_nan(None))  # JSON has no NaN


def _write(made: Candidate, folder: Path) -> None:
    known = Saved(model_id=made.artefact.model_id, parity=ParityRecord(**made.parity._asdict()))
    registry.store(made.artefact, folder / MODELS)
    known.tables = {name: _write_table(folder, name, getattr(made, name)) for name in TABLES}
    if made.success is not None and made.success_parity is not None:
        registry.store(made.success, folder / MODELS)
        known.success_id = made.success.model_id
        known.success_parity = ParityRecord(**made.success_parity._asdict())
        known.tables |= {name: _write_table(folder, name, getattr(made, name)) for name in SUCCESS_TABLES}
    files.write_json(folder / "metrics.json", _plain(made.metrics).to_dicts())
    known.write(folder / RECORD)


def _write_table(folder: Path, name: str, table: pl.DataFrame) -> str:
    """Write a table and return the hash of its bytes."""
    content = files.parquet(table)
    files.write_bytes(table_file(folder, name), content)
    return files.sha256(content)


def _read_table(folder: Path, name: str, known: Saved) -> pl.DataFrame:
    """Read a table that `_write_table` wrote. Raises BadData where it holds something else."""
    content = files.read_bytes(table_file(folder, name))
    expected = known.tables.get(name)  # version 0.1 kept none
    if expected not in (None, files.sha256(content)):
        raise BadData(
            f"{folder / name}.parquet: must have the hash that {RECORD} records, but was changed after the training. "
            "Run it again."
        )
    return files.read_parquet(content)


def values_of(artefact: Artefact) -> pl.DataFrame | None:
    """Out-of-sample result of an artefact's recipe: session, value; None for a model stored without it."""
    rows = artefact.card.oos_values
    if rows is None:
        return None
    frame = pl.DataFrame(rows, schema={"session": pl.String, "value": pl.Float64}, orient="row")
    return frame.with_columns(pl.col("session").str.to_date())


def _export(
    training: Training, tier: Tier, events: pl.DataFrame, strategy: Strategy, settings: Settings, card: Card
) -> tuple[Artefact, Parity]:
    features, second = strategy.features(settings), strategy.success if tier == Tier.SECOND else None
    task = second or strategy.task(settings)
    graph = onnx.export(training.artefact)
    known = matured(events, cut=training.trained_through)
    x, seed = features.matrix(known), settings.learning.seed
    parity = onnx.parity(training.artefact, graph, x, trade_above=settings.policy.above, seed=seed)
    own = registered.digests(features.columns)
    bundle = Bundle(
        strategy=strategy.name,
        model=training.artefact.name,
        features=features.name,
        schema_hash=features.schema_hash,
        columns=list(features.columns),
        classes=list(task.classes),
        edges=list(task.edges),
        trade_above=settings.policy.above,
        threshold=training.artefact.threshold,
        recipe=recipe_digest(settings, own),
        source=weakest_source(events),
        events_hash=store.events_hash(events, features, strategy.task(settings)),
        trained_events=len(known),
        trained_through=training.trained_through,
        support=support.describe(features, x),
        seed=seed,
        registered=own,
        tier=tier,
        policy=Chosen(k=settings.policy.k, score_from=training.newest[FROM][0]),
        probe=_probe(training.artefact, x, *strategy.table.cells(known)),
    )
    return Artefact.of(graph, bundle, card), parity


def _probe(model: FittedModel, x: Float32, category: NDArray[np.int64], size: Float32) -> Probe:
    """Rows of the training evenly apart, every other value missing in the last but one, all in the last."""
    rows = np.linspace(0, len(x) - 1, PROBES).astype(int)
    asked, category, size = x[rows].copy(), category[rows].astype(np.int64), size[rows].astype(np.float32)
    asked[-2, ::2] = asked[-1] = np.nan
    answer = model.predict(asked, category, size)
    return Probe(
        features=asked.tolist(),
        category=category.tolist(),
        size=size.tolist(),
        expected=answer.expected.tolist(),
        probabilities=answer.probabilities.tolist(),
    )


def tables(oos: pl.DataFrame, strategy: Strategy, settings: Settings, *, task: Task | None = None) -> pl.DataFrame:
    """`metrics.table` of every model in an out-of-sample stream, with the column `model` in front.

    task : of the models, default the strategy's own.
    """
    task = task or strategy.task(settings)
    parts = [
        metrics.table(own, strategy, settings, task, blocks=gates.blocks(own, settings)).select(
            pl.lit(model).alias("model"), pl.all()
        )
        for (model,), own in oos.group_by("model", maintain_order=True)
    ]
    return pl.concat(parts)


def load(folder: Path) -> Candidate:
    """Read what `save` wrote, checking every hash."""
    known = Saved.read(folder / RECORD, what=f"{folder.name}: {RECORD}", remedy="Train again.")
    found: dict[str, Any] = {name: _read_table(folder, name, known) for name in TABLES}
    found["notes"] = pl.concat([pl.DataFrame(schema=NOTES), found["notes"]], how="diagonal")  # 0.1 had fewer columns
    artefact = registry.load(folder / MODELS / known.model_id)
    made = Candidate(artefact=artefact, parity=_parity(known.parity), **found)
    if known.success_id is None or known.success_parity is None:
        return made
    second: dict[str, Any] = {name: _read_table(folder, name, known) for name in SUCCESS_TABLES}
    success = registry.load(folder / MODELS / known.success_id)
    return made._replace(success=success, success_parity=_parity(known.success_parity), **second)


def _parity(stored: ParityRecord) -> Parity:
    """JSON has no infinity: a missing difference is infinite."""
    difference = math.inf if stored.largest_difference is None else stored.largest_difference
    return Parity(stored.rows, difference, stored.flips, stored.ties)
