"""What stays of a run: its folder with run.json and report, the index over all runs, the link `latest`."""

import os
import shutil
from pathlib import Path
from typing import Any

from bq import runs
from bq.core import files, paths
from bq.core.errors import BQError
from bq.core.namespace import Namespace
from bq.jobs.run import notify
from bq.serving import registry
from bq.workbench import dashboard

GOOD = ("deployed", "kept", "done")


def into_place(folder: Path, info: dict[str, Any]) -> None:
    """Write the record with each table's hash, drop half-written files, give the folder its name, rebuild the index."""
    tables = {path.name: files.sha256(path) for path in folder.glob("[!.]*.parquet")}
    files.write_json(folder / "run.json", info | {"tables": tables})
    for hidden in folder.glob(".*"):
        shutil.rmtree(hidden) if hidden.is_dir() else hidden.unlink()
    files.sync(folder)
    final = folder.with_name(info["run_id"])
    folder.rename(final)
    files.sync(paths.outputs())
    write_index()
    if info["status"] in GOOD and not info["error"]:
        _move_latest(final)


def was_published(run_id: str) -> bool:
    """Whether a run came to its end with everything that belongs to it; else its work is done again."""
    made = (run.info for run in runs.every() if run.folder.name == run_id)
    return any(info["status"] in GOOD and info.get("error", "not said") is None for info in made)


def sentence(error: BaseException) -> str:
    """What a record says of an error."""
    if isinstance(error, OSError):
        return files.explain(error)
    return str(error) if isinstance(error, BQError | KeyboardInterrupt) else f"{type(error).__name__}: {error}"


def tell(event: notify.Event, info: dict[str, Any]) -> None:
    """Let the user's command hear of a run."""
    headline = info["error"] or info["headline"]
    notify.send(
        event, run_id=info["run_id"], headline=headline, report=paths.outputs() / info["run_id"] / "report.html"
    )


def write_index() -> None:
    """Rebuild outputs/index.html."""
    folders = sorted(path.parent.name for path in (paths.home() / "models").glob("*/champion.json"))
    namespaces = [namespace for name in folders if (namespace := Namespace.of_folder(name))]
    standing = {namespace: found for namespace in namespaces if (found := registry.pointer_or_none(namespace))}
    champions = [
        {
            "strategy": str(namespace),
            "model_id": found["model_id"],
            "since": found["since_utc"],
            "reason": found["reason"],
        }
        for namespace, found in standing.items()
    ]
    dashboard.write_index(paths.outputs(), champions)


def _move_latest(folder: Path) -> None:
    link = paths.outputs() / "latest"
    temporary = paths.outputs() / f".latest.{os.getpid()}.link.tmp"  # a name that `files.clean` knows
    temporary.symlink_to(folder.name)
    temporary.replace(link)
