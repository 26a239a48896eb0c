"""`make ledger`: every look at out-of-sample results, newest first; STRATEGY= and RUN= choose, all of them as CSV."""

from typing import Any

import polars as pl

from bq.core import files, paths
from bq.core.namespace import Namespace, Tier
from bq.core.numerals import with_sign
from bq.jobs import missing
from bq.jobs.request import Request, value
from bq.market.rules import shown
from bq.runs import Run
from bq.runs.record import Job
from bq.serving import ledger
from bq.workbench import screen
from bq.workbench.phrases import counted, looked

SHOWN_LINES = 40
# what a line says beside its time: looks that have it in common, such as the trials of a study, share one
ALIKE = ("namespace", "kind", "study", "model", "value", "baseline", "sessions", "chained")
COLUMNS: dict[str, Any] = {
    "at_utc": pl.Datetime("us", "UTC"),
    "namespace": pl.String,
    "kind": pl.String,
    "study": pl.String,
    "number": pl.Int64,
    "model": pl.String,
    "value": pl.Float64,
    "baseline": pl.Float64,
    "everything": pl.Float64,
    "sessions": pl.Int64,
    "recipe": pl.String,
    "events": pl.String,
    "chained": pl.Boolean,
    "digest": pl.String,
}


def main(request: Request) -> None:
    """The looks of all strategies, or of STRATEGY, or of the runs whose ids begin with RUN."""
    strategy = request.strategy.name if value("STRATEGY") else None
    found = table(strategy=strategy, run_id=request.run_id)
    target = paths.outputs() / "ledger.csv"
    files.write_text(target, found.with_columns(shown(pl.col(pl.String))).write_csv())
    alike = found.group_by(ALIKE, maintain_order=True).agg(pl.col("at_utc").first(), looks=pl.len())
    lines = [_line(row) for row in alike.head(SHOWN_LINES).iter_rows(named=True)]
    if (more := alike["looks"][SHOWN_LINES:].sum()) > 0:
        lines.append(f"… and {more:,} more")
    screen.show("\n".join([*lines, *_totals(found)]) or "no look yet: `make retrain` makes the first")
    screen.show(screen.where("table", target))


def table(*, strategy: str | None = None, run_id: str | None = None) -> pl.DataFrame:
    """One row a look, newest first, by COLUMNS; what was shown is null where it is not known (before the chain)."""
    rows = [
        _row(one)
        for one in reversed(ledger.listed())
        if strategy in (None, one["strategy"]) and one["study"].startswith(run_id or "")
    ]
    return pl.DataFrame(rows, schema=COLUMNS)


def _row(look: dict[str, Any]) -> dict[str, Any]:
    whose = Namespace(look["strategy"], look["name"], look["simulated"], Tier(look["tier"]))
    figures = look["shown"] or {}
    return {
        **{name: look[name] for name in ("at_utc", "kind", "study", "number", "recipe", "events", "digest")},
        "namespace": str(whose),
        "model": look["parameters"].get("model"),
        **{name: figures.get(name) for name in ("value", "baseline", "everything", "sessions")},
        "chained": look["digest"] is not None,
    }


def _line(row: dict[str, Any]) -> str:
    earned = "no figure a session" if row["value"] is None else f"{with_sign(row['value'], 4)} a session"
    beside = "" if row["baseline"] is None else f", rule score {with_sign(row['baseline'], 4)}"
    over = "" if row["sessions"] is None else f", {counted(row['sessions'], 'session')}"
    model = f"{row['model']}  " if row["model"] else ""
    looks = f"{counted(row['looks'], 'look')}, " if row["looks"] > 1 else ""
    return (
        f"{row['at_utc']:%Y-%m-%d %H:%M}  {row['namespace']:<20}  {row['kind']:<8}  {row['study']}  "
        f"{model}{looks}{earned}{beside}{over}{'' if row['chained'] else '  (before the chain)'}"
    )


def _totals(found: pl.DataFrame) -> list[str]:
    groups = found.group_by("namespace").agg(pl.len(), pl.col("at_utc").min()).sort("namespace")
    return [f"ledger      {name}: {looked(looks, since)}" for name, looks, since in groups.rows()]


def faults(made: list[Run]) -> list[str]:
    """A sentence for each fault of the ledger, and for the runs whose entries it does not hold."""
    found, known, asked = ledger.faults(), ledger.digests(), ledger.of_gates()
    kept = [(run.record, run.record.ledger.standing) for run in made if run.record.ledger]
    lost = [record.run_id for record, at in kept if at.entries and known[at.entries - 1 : at.entries] != [at.digest]]
    if lost:
        found.append(
            f"ledger: it must begin with the entries that it had when {counted(len(lost), 'run')} ended (the newest is "
            f"{lost[0]}), but does not: entries were deleted or edited, or another database is asked."
        )
    judged = (record for record, _ in kept if record.job == Job.RETRAIN and record.status in missing.JUDGED)
    if without := [record.run_id for record in judged if record.run_id not in asked]:
        found.append(
            f"ledger: it must hold the attempt of every run that the gate judged, but has none of "
            f"{counted(len(without), 'run')} (the newest is {without[0]})."
        )
    return found


def chained() -> str:
    """How many entries the chain holds, and how many were made before it; empty of an empty ledger."""
    total, linked = ledger.count(), ledger.standing().entries
    before = f", {total - linked:,} more from before the chain" if total > linked else ""
    return f"ledger: {counted(linked, 'chained look')}{before}" if total else ""
