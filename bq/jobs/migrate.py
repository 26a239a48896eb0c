"""`make migrate`: copy all records into the database that `BQ_MIGRATE_TO` names, and compare both sides."""

import os

import sqlalchemy as sa

from bq.core import db, transfer
from bq.core.errors import BadParameters
from bq.jobs.request import Request
from bq.monitoring import records
from bq.serving import journal
from bq.serving import ledger as looks
from bq.trading import ledger as trades
from bq.workbench import screen
from bq.workbench.phrases import counted

TARGET = "BQ_MIGRATE_TO"
DECLARED = (records.scans, journal.deployments, looks.attempts, trades.orders)  # their modules declare every table


def main(request: Request) -> None:
    """Copy, and say what to set; the source stays as it is and in use."""
    source, target = db.engine(), _target()
    assert all(table.metadata is db.metadata for table in DECLARED)
    rows = added = 0
    for done in transfer.copy(source, target):
        rows, added = rows + done.rows, added + done.added
        screen.show(f"{done.table:<18}{done.rows:>12,} rows, {done.added:,} copied now   sha256 {done.digest[:16]}")
    shown = target.url.set(query={}).render_as_string(hide_password=True)
    screen.show(f"the same    {counted(rows, 'row')} on both sides, {added:,} copied now")
    screen.show(f"next        set BQ_DATABASE_URL to {shown} (with its password) wherever this home is used")


def _target() -> sa.Engine:
    given = os.environ.get(TARGET, "").strip()
    if not given:
        raise BadParameters(
            f"{TARGET} must be set in the environment to the database to copy into, such as "
            "postgresql+psycopg://user:password@host/name, but is not. (It is no variable of make: a command line can "
            "be read by others.)"
        )
    return db.at(given, TARGET)
