"""`make status`: where things stand. Imports little, so that it answers at once."""

import polars as pl

from bq.core import paths
from bq.jobs.request import Request
from bq.serving import registry
from bq.workbench import runs, screen


def main(request: Request) -> None:
    """Where things stand: champion, newest runs, stored events."""
    name = request.settings.shelf
    standing = registry.pointer(name)
    if standing:
        lines = [f"champion    {standing['model_id']} since {standing['since_utc']}: {standing['reason']}"]
    else:
        lines = ["champion    none: decisions come from the rule score"]
    stored = list(paths.events(request.strategy.name).glob("*/events.parquet"))
    for path in stored:
        frame = pl.scan_parquet(path).select(
            pl.len().alias("n"), pl.col("symbol").n_unique().alias("symbols"), pl.col("session").min().alias("first"),
            pl.col("session").max().alias("last"), pl.col("t1").is_not_null().sum().alias("closed"),
        ).collect()  # fmt: skip
        lines.append(
            "events      {n:,} of {symbols} symbols, {first} to {last}, {closed:,} closed".format(
                **frame.row(0, named=True)
            )
        )
    if not stored:
        lines.append("events      none yet")
    for run in runs.every(name)[:5]:
        lines.append(f"run         {run.info['run_id']}  {run.info['status']:<9} {run.info['headline']}")
    screen.show("\n".join([f"{name}", *lines]))
