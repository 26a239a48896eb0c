"""`make status`: where things stand. Imports little, so that it answers at once."""

import datetime as dt
from pathlib import Path

import polars as pl

from bq.core import files, paths
from bq.core.errors import BadData
from bq.jobs.request import Request
from bq.serving import registry
from bq.strategies import store
from bq.workbench import runs, screen

RUNS = 5


def main(request: Request) -> None:
    """Where things stand on every shelf: champions, stored events, newest runs."""
    made = runs.every()
    screen.show("\n".join([*_shelves(request, made), *_events(), *_runs(made)]))


def _shelves(request: Request, made: list[runs.Run]) -> list[str]:
    """A line for the shelf asked about and for every other that has a run or a champion."""
    pointers = {path.parent.name for path in (paths.home() / "models").glob("*/champion.json")}
    lines = []
    for shelf in sorted(pointers | {run.info["strategy"] for run in made} | {request.settings.shelf}):
        try:
            standing = registry.pointer(shelf)
        except BadData as error:
            lines.append(f"champion    {shelf}: {error}")
            continue
        if standing:
            since = f"{standing['since_utc'][:16].replace('T', ' ')} UTC"
            lines.append(f"champion    {shelf}: {standing['model_id']} since {since}: {standing['reason']}")
        else:
            lines.append(f"champion    {shelf}: none, decisions come from the rule score")
    return lines


def _events() -> list[str]:
    """A line for each stored set of events: whose it is, how many, how many have ended, and whether it is in use."""
    found = sorted((paths.home() / "data" / "events").glob("*/*/events.parquet"))
    code = store.code_digest() if found else ""
    return [_store(path, code) for path in found] or ["events      none yet: `make retrain` builds them"]


def _store(path: Path, code: str) -> str:
    try:
        through = dt.date.fromisoformat(files.read_json(path.with_name(store.STATE))["through"])
        matured = (pl.col("t1_due").dt.date() <= through) & pl.col("outcome").is_not_null()
        by_symbol = (
            pl.scan_parquet(path)
            .group_by("variant", "source", "symbol")
            .agg(
                pl.len(),
                pl.col("session").min(),
                pl.col("taken").sum(),
                last=pl.col("session").max(),
                matured=matured.sum(),
            )
            .sort("len", "symbol")
            .collect()
        )
    except (OSError, ValueError, LookupError, TypeError, pl.exceptions.PolarsError) as error:
        return f"events      {path.parent.name}: cannot be read ({error}); the next run builds it again"
    used = "" if path.parent.name.startswith(code) else "; made by other code, built again when next asked for"
    return f"events      {' + '.join(by_symbol['variant'].unique().sort())}: {_counts(by_symbol, through)}{used}"


def _counts(by_symbol: pl.DataFrame, through: dt.date) -> str:
    each = by_symbol.group_by("symbol").agg(pl.col("len").sum()).sort("len", "symbol").rows()
    (fewest, least), (most_in, most) = each[0], each[-1]
    spread = f"{least} each" if least == most else f"{least} ({fewest}) to {most} ({most_in}) each"
    shadow = by_symbol["len"].sum() - by_symbol["taken"].sum()
    ended = f"{by_symbol['matured'].sum():,} matured by {through}" + (f", {shadow:,} not taken" if shadow else "")
    return (
        f"{screen.count(by_symbol['len'].sum(), 'event')} of {screen.count(len(each), 'symbol')}, {spread}; "
        f"{by_symbol['session'].min()} to {by_symbol['last'].max()}, {ended}; "
        f"{' + '.join(by_symbol['source'].cast(pl.String).unique().sort())}"
    )


def _runs(made: list[runs.Run]) -> list[str]:
    shown = [(run.info["run_id"], f"{run.info['status']:<9}", str(run.info.get("headline"))) for run in made[:RUNS]]
    lines = [f"run         {'  '.join(parts)}" for parts in shown]
    more = len(made) - RUNS
    return [*lines, *([f"            and {more} more: make history"] if more > 0 else [])] or ["run         none yet"]
