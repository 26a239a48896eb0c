"""The models of a namespace (a strategy, its simulated twin apart): content-addressed folders and one champion pointer.

    models/<namespace>/<model id>/  model.onnx  bundle.json  card.json  reference.parquet  manifest.json
    models/<namespace>/champion.json

The id is a digest of model.onnx and of bundle.json as stored: the same training gives the same id, and a later schema
leaves it as it is. A reader checks every hash in the manifest before it loads anything.
"""

import contextlib
import datetime as dt
import functools
import os
import re
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple

from bq.core import files, paths, secrets
from bq.core.errors import BadData, BQError
from bq.core.log import log
from bq.core.namespace import Namespace, Tier
from bq.serving.model_records import ID, Bundle, Card, Pointer

if TYPE_CHECKING:
    from bq.serving.journal import RolledBack

NONE = "none"  # in place of a model id: no model, the rule score decides
CONTENT = ("model.onnx", "bundle.json")  # what the id is made of; card.json holds times and evidence
REFERENCE = "reference.parquet"  # see `frozen`; models of before have none
POINTER = "champion.json"
REMEDY = "`make rollback` or retrain."


class Change(StrEnum):
    """Kind of a change of a champion pointer."""

    DEPLOYED = "deployed"
    ROLLED_BACK = "rolled_back"
    RETIRED = "retired"  # its errors refuted it: the next tier decides


@dataclass(frozen=True)
class Artefact:
    """A model as stored: the graph, what it needs to be used, and its evidence."""

    graph: bytes
    stored: str  # text of bundle.json, which the id is made of
    card: Card
    reference: bytes | None = None  # see `frozen`; no part of the id. None: stored without

    @staticmethod
    def of(graph: bytes, bundle: Bundle, card: Card) -> "Artefact":
        """A model that was never stored before."""
        return Artefact(graph, bundle.text(), card)

    @functools.cached_property
    def bundle(self) -> Bundle:
        """What the graph needs to be used."""
        return Bundle.parse(self.stored, what=f"model {self.model_id}: bundle.json", remedy=REMEDY)

    @functools.cached_property
    def model_id(self) -> str:
        """Digest of graph and bundle, 16 hex digits."""
        return files.digest([files.sha256(self.graph), self.stored])


class Decider(NamedTuple):
    """The tier that decides, and its model."""

    tier: Tier
    model_id: str = ""

    def __str__(self) -> str:
        return f"{self.tier.label} {self.model_id}".strip()


def store(artefact: Artefact, folder: Path) -> Path:
    """Write an artefact below `folder` under its id and return its path.

    Written into a hidden folder, synced, then renamed: a kill in between leaves no half-written model. A whole model
    of the same id stays as it is, and gets the reference that it was stored without; a damaged one is replaced.
    """
    final = folder / artefact.model_id
    folder.mkdir(parents=True, exist_ok=True)
    if final.is_dir():
        try:
            if load(final).reference is None and artefact.reference is not None:
                _add_reference(final, artefact.reference)
            return final
        except BadData as error:
            log.warning("%s It is written again.", error)
            shutil.rmtree(final)
    temporary = folder / f".tmp-{token_hex(8)}"
    try:
        temporary.mkdir(0o755)
        contents = {
            "model.onnx": artefact.graph,
            "bundle.json": artefact.stored.encode(),
            "card.json": files.canonical_json(secrets.redacted(artefact.card.plain())[0]).encode(),
            **({} if artefact.reference is None else {REFERENCE: artefact.reference}),
        }
        manifest = {name: files.sha256(content) for name, content in contents.items()}
        for name, content in {**contents, "manifest.json": files.canonical_json(manifest).encode()}.items():
            (temporary / name).write_bytes(content)
            files.sync(temporary / name)
        files.sync(temporary)
        temporary.rename(final)
        files.sync(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def _add_reference(path: Path, reference: bytes) -> None:
    """The file first, then the manifest that names it: the model is whole at any time."""
    files.write_bytes(path / REFERENCE, reference)
    hashes = {**_read(path / "manifest.json"), REFERENCE: files.sha256(reference)}
    files.write_json(path / "manifest.json", hashes)


def _checked(path: Path) -> dict[str, bytes]:
    """Contents of the files of a stored model. Raises BadData unless each is there and has the hash of its manifest."""
    manifest = path / "manifest.json"
    if not manifest.is_file():
        raise BadData(f"model {path.name}: must have a manifest.json, but {path} has none. `make rollback` or retrain.")
    hashes, contents = _read(manifest), {}
    for name in sorted({*CONTENT, "card.json"} | set(hashes)):
        if Path(name).name != name or not isinstance(hashes.get(name, ""), str):
            raise BadData(f"model {path.name}: its manifest must give hashes of its own files, but names {name!r}.")
        if name not in hashes or not (path / name).is_file():
            raise BadData(
                f"model {path.name}: must hold {name} as its manifest says, but it is missing. "
                "`make rollback` or retrain."
            )
        contents[name] = files.read_bytes(path / name)
        if files.sha256(contents[name]) != hashes[name]:
            raise BadData(
                f"model {path.name}: {name} must have the hash of its manifest, but was changed. "
                "`make rollback` or retrain."
            )
    return contents


def load(path: Path) -> Artefact:
    """The artefact, from the very bytes whose hashes were checked. Raises BadData for a model that is not whole."""
    contents = _checked(path)
    card = Card.parse(contents["card.json"], what=f"model {path.name}: card.json", remedy=REMEDY)
    try:
        artefact = Artefact(contents["model.onnx"], contents["bundle.json"].decode(), card, contents.get(REFERENCE))
    except UnicodeDecodeError:
        raise BadData(f"model {path.name}: bundle.json must be UTF-8 text, but is none. {REMEDY}") from None
    if artefact.model_id != path.name:
        raise BadData(
            f"model {path.name}: must lie in the folder of its id, but its content has id {artefact.model_id}."
        )
    artefact.bundle  # noqa: B018 - read here, so that one of another shape is refused with the rest
    return artefact


def namespaces() -> list[Namespace]:
    """Namespaces of either tier that have a pointer, also one that cannot be read."""
    folders = sorted(path.parent.name for path in (paths.home() / "models").glob(f"*/{POINTER}"))
    return [namespace for name in folders if (namespace := Namespace.of_folder(name))]


def pointer(namespace: Namespace) -> Pointer | None:
    """The content of champion.json, or None where no model is deployed."""
    found = _pointed(namespace)
    return None if found is None or found.model_id == NONE else found


def _pointed(namespace: Namespace) -> Pointer | None:
    """Like `pointer`, but with model id NONE after a rollback to the rule score; None where it was never written."""
    path = paths.models(namespace) / POINTER
    return Pointer.read(path, what=f"{path}:", remedy=REMEDY) if os.path.lexists(path) else None


def _read(path: Path) -> dict[str, Any]:
    """A JSON object, or BadData."""
    with contextlib.suppress(ValueError):
        found = files.read_json(path)
        if isinstance(found, dict):
            return found
    raise BadData(f"{path}: must hold a JSON object, but cannot be read. `make rollback` or retrain.")


def pointer_or_none(namespace: Namespace) -> Pointer | None:
    """Like `pointer`, None also where it cannot be read."""
    with contextlib.suppress(BadData, OSError):
        return pointer(namespace)
    return None


def champion(namespace: Namespace) -> Artefact | None:
    """The deployed model, hashes checked, or None (a normal state: the rule score then decides)."""
    found = pointer(namespace)
    return load(folder(namespace, found.model_id)) if found else None


def rolled_back(namespace: Namespace) -> "RolledBack | None":
    """The newest deployment, where it was rolled back: a candidate must beat its model all the same."""
    from bq.serving import journal

    newest = next((row["model_id"] for row in _known(namespace) if row["kind"] == Change.DEPLOYED), None)
    if newest is None:
        return None
    return next((one for one in journal.rolled_back(namespace) if one.model_id == newest), None)


def undone() -> dict[str, dt.datetime]:
    """The runs whose deployment was rolled back and stays so, and when; empty where the database cannot be asked."""
    from bq.serving import journal

    try:
        return {one.run_id: one.at_utc for one in journal.rolled_back() if one.run_id}
    except BQError:
        return {}


def folder(namespace: Namespace, model_id: str) -> Path:
    """Where a model lies. Raises BadData for what is no id: a path is never followed."""
    if not re.fullmatch(ID, model_id):
        raise BadData(f"{namespace}: the id of a model must be 16 hex digits, but is {model_id[:60]!r}. {REMEDY}")
    return paths.models(namespace) / model_id


def to_roll_back(namespace: Namespace) -> Namespace:
    """The tier that a rollback applies to: the first with a damaged model, else the first with a model."""
    tiers = [tier for tier in (namespace.champion, namespace.second) if _standing(tier)]
    return next((tier for tier in tiers if not _whole(tier)), tiers[0] if tiers else namespace)


def _whole(namespace: Namespace) -> bool:
    with contextlib.suppress(BadData, OSError):
        return champion(namespace) is not None
    return False


def deploy(namespace: Namespace, artefact: Artefact, *, reason: str, run_id: str | None = None) -> str:
    """Store the artefact and point the champion at it; return its id. run_id : which run made it."""
    path = store(artefact, paths.models(namespace))
    _point(namespace, path.name, Change.DEPLOYED, reason, run_id)
    return path.name


def rollback(namespace: Namespace) -> str:
    """Point the champion at the model before it; return that model's id, or NONE where the rule score decided.

    Raises BQError where no model is deployed. A model that fails its hash check is never pointed at.
    """
    current = _standing(namespace)
    if current is None:
        raise BQError(f"{namespace}: a model must be deployed to roll back from, but none is. Nothing was changed.")
    earlier = before(namespace, current)
    if earlier is not None:
        load(folder(namespace, earlier))
    further = before(namespace, earlier) if earlier else None
    _point(namespace, earlier or NONE, Change.ROLLED_BACK, f"rollback from {current}", None, further=further)
    return earlier or NONE


def retire(namespace: Namespace, *, reason: str) -> str:
    """Point the champion at no model, so that the next tier decides; return the id of the one that decided.

    Raises BQError where no model is deployed.
    """
    current = _standing(namespace)
    if current is None:
        raise BQError(f"{namespace}: a model must be deployed to be retired, but none is. Nothing was changed.")
    _point(namespace, NONE, Change.RETIRED, reason, None)
    return current


def before(namespace: Namespace, model_id: str) -> str | None:
    """What decided before a model, None for the rule score: by the journal, where that is lost by its pointer."""
    for row in _known(namespace):
        if row["model_id"] == model_id != row["previous"] and row["kind"] == Change.DEPLOYED:
            return None if row["previous"] == NONE else row["previous"]
    pointed = pointer_or_none(namespace)
    return pointed.previous if pointed and pointed.model_id == model_id else None


def line_of(namespace: Namespace, model_id: str) -> list[str]:
    """A deployed model and those before it whose recipe it continues, the newest first.

    The line begins where another recipe, or none, decided: at a rollback, a retirement, or a change of the recipe. A
    model that can no longer be read ends it.
    """
    line = [model_id]
    with contextlib.suppress(BadData, OSError):
        recipe = load(folder(namespace, model_id)).bundle.recipe
        while (earlier := before(namespace, line[-1])) is not None and earlier not in line:
            if load(folder(namespace, earlier)).bundle.recipe != recipe:
                break
            line.append(earlier)
    return line


def history(namespace: Namespace) -> list[dict[str, Any]]:
    """Every change of the namespace's pointer, newest first."""
    from bq.serving import journal

    return journal.changes(namespace)


def _known(namespace: Namespace) -> list[dict[str, Any]]:
    """`history`, empty where the database cannot be asked."""
    try:
        return history(namespace)
    except BQError as error:
        log.warning("%s: the pointer alone is believed, as the journal cannot be read: %s", namespace, error)
        return []


def _standing(namespace: Namespace) -> str | None:
    """Id of the model that decides, or did by the journal where the pointer is gone or cannot be read."""
    found = None
    with contextlib.suppress(BadData, OSError):
        pointed = _pointed(namespace)
        found = pointed.model_id if pointed else None
    found = found or next((row["model_id"] for row in _known(namespace)), None)
    return None if found == NONE else found


def _point(
    namespace: Namespace,
    model_id: str,
    kind: Change,
    reason: str,
    run_id: str | None,
    *,
    further: str | None = None,
) -> None:
    """Journal first, then the pointer: the pointer decides, the journal may know of one attempt more.

    further : of a rollback, what the next one goes back to. A rollback does not need the database.
    """
    from bq.serving import journal

    previous = _standing(namespace)  # None: the rule score
    now = dt.datetime.now(dt.UTC)
    row = {"kind": kind.value, "run_id": run_id, "model_id": model_id, "previous": previous, "reason": reason}
    try:
        journal.enter(namespace, at_utc=now, **row)
    except BQError as error:
        if kind != Change.ROLLED_BACK:
            raise
        log.warning("%s: the rollback is not in the journal: %s", namespace, error)
    previous = further if kind == Change.ROLLED_BACK else previous
    pointer = Pointer(model_id=model_id, previous=previous, since_utc=now.replace(microsecond=0), reason=reason)
    pointer.write(paths.models(namespace) / POINTER)


def clean(namespace: Namespace) -> None:
    """Remove leftovers of a killed deployment: hidden folders, and pointers that were never put in place."""
    for folder in paths.models(namespace).glob(".tmp-*"):
        shutil.rmtree(folder, ignore_errors=True)
    for file in paths.models(namespace).glob(f".{POINTER}.*.tmp"):
        file.unlink(missing_ok=True)
