"""`make diff A=<run> B=<run>`: what differs between two runs, on the terminal and as a page."""

from typing import Any

import polars as pl

from bq import runs
from bq.core import files, params, paths
from bq.core.errors import BadParameters
from bq.core.numerals import bounds, decimal, stated, with_sign
from bq.jobs.request import Request
from bq.jobs.run import publish
from bq.runs import Run
from bq.runs import folder as names
from bq.runs.verdict import Part
from bq.strategies.events import SOURCES
from bq.workbench import page, screen
from bq.workbench.phrases import counted
from bq.workbench.table import Table, table

SHOWN = 20  # decisions and trades of each kind
Section = tuple[str, list[Any]]  # a heading, and the texts and tables below it


def main(request: Request) -> None:
    """Compare A with B. Without them: the newest retrain of the namespace that did not fail with the one before it."""
    first, second = _asked(request)
    parts = compare(first, second)
    for heading, contents in parts:
        shown = [content.replace("\n\n", "\n") if isinstance(content, str) else repr(content) for content in contents]
        screen.show("\n".join(["", f"{screen.BOLD}{heading}{screen.PLAIN}", *shown]))
    target = paths.outputs() / "diffs" / f"{first.folder.name}__{second.folder.name}.html"
    sources = [run.record.source for run in (first, second)]
    weakest = max((name for name in sources if name in SOURCES), key=SOURCES.index, default="real")
    page.write(target, title=f"{first.folder.name} and {second.folder.name}", source=weakest, parts=parts)
    publish.write_index()
    screen.show(f"\n{screen.where('report', target)}")


def _asked(request: Request) -> tuple[Run, Run]:
    if request.a and request.b:
        return runs.load(request.a, variable="A"), runs.load(request.b, variable="B")
    if request.a or request.b:
        raise BadParameters(
            "A and B must be given together: two run ids, the beginnings of such, or `latest`; or neither, for the two "
            "newest retrains."
        )
    found = [run for run in runs.every(str(request.settings.namespace), job="retrain") if run.record.good]
    if len(found) < 2:
        raise BadParameters(
            f"{request.settings.namespace}: two retrains that did not fail must exist to be compared, but outputs/ "
            f"holds {len(found)}. Name other runs (make diff A=<run> B=<run>), or change something and "
            "`make retrain`."
        )
    return found[1], found[0]


def compare(a: Run, b: Run) -> list[Section]:
    """Everything in which two runs differ, part by part; a part without a difference says so."""
    return [
        ("What made them", _origin(a, b)),
        ("Parameters", _parameters(a, b)),
        ("Out-of-sample figures", _figures(a, b)),
        ("Verdict", _verdict(a, b)),
        ("Predictions", _predictions(a, b)),
        ("Decisions", _decisions(a, b)),
    ]


def _pairs(pairs: list[tuple[str, Any, Any]], *, first: str) -> Table:
    """One row for each (name, A, B); `=` in B where both are the same."""
    rows = [(name, stated(old), "=" if old == new else stated(new)) for name, old, new in pairs]
    return table(pl.DataFrame(rows, schema={first: pl.String, "A": pl.String, "B": pl.String}, orient="row"))


def _origin(a: Run, b: Run) -> list[Any]:
    """Identity of both runs in full; of packages, only those that differ."""
    fields = ("run_id", "namespace", "job", "status", "started_utc", "title", "source", "data_hash", "seed")
    pairs = [(name.replace("_", " "), getattr(a.record, name), getattr(b.record, name)) for name in fields]
    for section, inside in (("git", ("sha", "dirty")), ("findings", ("read", "kept"))):
        sides = [getattr(run.record, section) for run in (a, b)]
        pairs += [(f"{section}: {name}", *(getattr(side, name) for side in sides)) for name in inside]
    packages = params.differences(a.record.packages, b.record.packages)
    pairs += [(f"package {name}", old, new) for name, old, new in packages]
    return [_pairs(pairs, first="what"), *([] if packages else ["Package versions are the same."])]


def _parameters(a: Run, b: Run) -> list[Any]:
    found = params.differences(a.record.parameters, b.record.parameters)
    return [_pairs(found, first="parameter") if found else "All parameters are the same."]


def _figures(a: Run, b: Run) -> list[Any]:
    """Every figure of every model with its interval and baseline."""
    absent = _absent("metrics.parquet", a, b)
    if absent:
        return [absent]
    key = ["model", "metric", "baseline_is"]
    sides = {side: run.frame("metrics") for side, run in (("A", a), ("B", b))}
    columns = {
        side: frame.select(
            *key,
            pl.struct("value", "low", "high").map_elements(_interval, pl.String).alias(side),
            pl.col("value").alias(f"value {side}"),
            pl.col("baseline").alias(f"baseline {side}"),
            pl.format("{}/{}", "events", "sessions").alias(f"events/sessions {side}"),
        )
        for side, frame in sides.items()
    }
    both = columns["A"].join(columns["B"], on=key, how="full", coalesce=True, nulls_equal=True, maintain_order="left")
    shown = both.with_columns((pl.col("value B") - pl.col("value A")).alias("B − A")).select(
        *key, "A", "B", "B − A", "baseline A", "baseline B", "events/sessions A", "events/sessions B"
    )
    note = "An interval is that of one run; B − A has none: runs on the same data share their luck, others do not."
    return [table(shown), note]


def _interval(row: dict[str, float | None]) -> str:
    if row["value"] is None:
        return "–"
    return f"{with_sign(row['value'])} {bounds(row['low'], row['high'])}"


def _verdict(a: Run, b: Run) -> list[Any]:
    """Decision, headline and every component, one below the other: their sentences are long."""
    verdicts = [verdict for run in (a, b) if (verdict := run.verdict)]
    if len(verdicts) < 2:
        absent = _absent(names.VERDICT, a, b)
        return [absent, *(f"{side}: {run.record.headline}" for side, run in (("A", a), ("B", b)))]
    parts = [{part.name: part for part in verdict.components} for verdict in verdicts]
    pairs = [(name, *(getattr(verdict, name) for verdict in verdicts)) for name in ("decision", "headline")]
    pairs += [(name, *(_component(side.get(name)) for side in parts)) for name in dict.fromkeys([*parts[0], *parts[1]])]
    return [
        f"{name}\n\n- A and B: {old}" if old == new else f"{name}\n\n- A: {old}\n- B: {new}" for name, old, new in pairs
    ]


def _component(part: Part | None) -> str:
    return f"{part.mark}: {part.statement}" if part else "not asked"


def _absent(name: str, *both: Run) -> str:
    """Which of the runs lack a file, as a sentence; empty where none does."""
    without = [f"{run.folder.name} ({run.record.status})" for run in both if not (run.folder / name).is_file()]
    return f"Nothing to compare: there is no {name} in {' nor in '.join(without)}." if without else ""


def _own(run: Run) -> pl.DataFrame:
    """Out-of-sample predictions of the candidate's own recipe."""
    return run.frame("oos").filter(pl.col("model") == run.record.parameters["learning"]["model"])


def _predictions(a: Run, b: Run) -> list[Any]:
    absent = _absent("oos.parquet", a, b)
    if absent:
        return [absent]
    first, second = _own(a), _own(b)
    columns = ["event_id", "expected", "outcome"]
    both = first.join(second.select(columns), on="event_id", suffix="_b", maintain_order="left")
    counts = f"{counted(len(first), 'event')} in A, {len(second):,} in B, {len(both):,} in both."
    if both.is_empty():
        return [f"{counts} Event ids differ with the rules that make events, their parameters or their dates."]
    both = both.with_columns((pl.col("expected_b") - pl.col("expected")).alias("B − A"))
    changed = both.filter(pl.col("B − A").abs() > 1e-6)
    revalued = both.filter((pl.col("outcome") - pl.col("outcome_b")).abs() > 1e-9)
    if changed.is_empty() and revalued.is_empty():
        return [f"{counts} Every common event has the same outcome and the same prediction."]
    rank = both.select(pl.corr("expected", "expected_b", method="spearman")).item()
    text = (
        f"{counts} Predictions differ for {len(changed):,}, outcomes for {len(revalued):,}; "
        f"rank correlation of the predictions {decimal(rank)}. The largest differences:"
    )
    largest = changed.sort(pl.col("B − A").abs(), descending=True).head(SHOWN)
    shown = largest.select("session", "symbol", "event_id", A="expected", B="expected_b", **{"B − A": "B − A"})
    return [text, table(shown.join(revalued.select("event_id", outcome_b="outcome_b"), on="event_id", how="left"))]


def _decisions(a: Run, b: Run) -> list[Any]:
    """What the candidates would have traded: joined by event."""
    absent = _absent(names.TRADES, a, b)
    if absent:
        return [absent]
    first, second = (_trades(run) for run in (a, b))
    contents: list[Any] = []
    for side, own, other in (("A", first, second), ("B", second, first)):
        alone = own.join(other, on="event_id", how="anti", maintain_order="left")
        mean = "" if alone.is_empty() else f", mean outcome {with_sign(alone['outcome'].mean())}"
        text = f"{len(own):,} trades of the candidate in {side}, {len(alone):,} of them in {side} alone{mean}"
        contents.append(text + (f"; the first {SHOWN}:" if len(alone) > SHOWN else ":" if len(alone) else "."))
        if len(alone):
            contents.append(table(alone.head(SHOWN)))
    return contents


def _trades(run: Run) -> pl.DataFrame:
    columns = ("session", "symbol", "expected", "score", "outcome", "event_id")
    trades = files.read_csv(run.folder / names.TRADES, schema_overrides={"event_id": pl.String, "symbol": pl.String})
    return trades.filter(pl.col("by") == "candidate").select(columns)
