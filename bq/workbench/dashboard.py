"""The index page over all runs: champions on top, then every run, newest first."""

from pathlib import Path
from typing import Any

from bq.core import files
from bq.strategies.events import NOTICES
from bq.workbench.report import COLOURS, environment


def write_index(outputs: Path, champions: list[dict[str, Any]]) -> None:
    """Write `outputs/index.html`, atomically.

    outputs : folder with one folder a run; each `run.json` is one line, also one that cannot be read. Hidden folders
    (runs under way) and links are left out. champions : `strategy`, `model_id`, `since`, `reason` each.
    """
    folders = [path.parent for path in outputs.glob("*/run.json")]
    kept = [folder for folder in folders if not folder.name.startswith(".") and not folder.is_symlink()]
    runs = [_run(folder) for folder in sorted(kept, reverse=True)]  # a folder's name starts with its time
    page = environment().get_template("index.html.j2")
    files.write_text(
        outputs / "index.html", page.render(runs=runs, champions=champions, colours=COLOURS, notices=NOTICES)
    )


def _run(folder: Path) -> dict[str, Any]:
    """One line of the table."""
    try:
        content = files.read_json(folder / "run.json")
    except (OSError, ValueError) as error:
        content = {"status": "unreadable", "headline": f"run.json: {error}"}
    if not isinstance(content, dict):
        content = {"status": "unreadable", "headline": "run.json: must be an object."}
    names = ("started_utc", "strategy", "job", "status", "title", "source", "headline", "error")
    line = {name: str(content.get(name) or "") for name in names}
    line["headline"] = line["error"] or line["headline"]
    return line | {"folder": folder.name, "report": (folder / "report.html").is_file()}
