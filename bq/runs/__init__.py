"""Records of runs, written and read: `bq.runs.latest()`, `bq.runs.load(run_id)`, `bq.runs.table()`."""

from bq.runs.read import Run, every, latest, load, table

__all__ = ["Run", "every", "latest", "load", "table"]
