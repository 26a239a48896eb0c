"""One of several writers: enters scans with decisions of its own, a day each."""

import datetime as dt
import sys

import polars as pl

from bq.core.namespace import Namespace, Tier
from bq.monitoring import records
from bq.monitoring.records import Scan


def main(writer: int, scans: int, decisions: int) -> None:
    """Enter so many scans of so many decisions; the namespace is shared."""
    for number in range(scans):
        at = dt.datetime(2020, 1, 1, 22, tzinfo=dt.UTC) + dt.timedelta(days=number)
        scan = Scan(Namespace("butterfly"), at.date(), at, {}, "da7a", "c0de", None, None, late=False)
        made = pl.DataFrame({"event_id": [f"{writer}-{number}-{i}" for i in range(decisions)]}).with_columns(
            symbol=pl.lit(f"W{writer}"),
            session=pl.lit(at.date()),
            tier=pl.lit(Tier.RULE.value),
            model=pl.lit("rule score"),
            score=pl.lit(50.0),
            should_trade=pl.lit(False),
            t0=pl.lit(at),
            t1_due=pl.lit(at),
            variant=pl.lit("v"),
        )
        records.enter(scan, made)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
