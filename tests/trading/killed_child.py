"""One day of toy trading in a process that is killed before its change of a given number: `killed_child.py NUMBER`."""

import os
import signal
import sys

import season
import sqlalchemy as sa

from bq.trading import dry_run

ALONE = {"tracks": [{"name": "ButterAI", "share": 1.0, "decides": "champion"}]}


def main(number: int) -> None:
    """Kill this process before the change of that number: a commit of the ledger, or a write of the broker's state."""
    count = 0

    def change(*_):
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    save = dry_run.DryRun._save

    def saved(broker):
        change()
        save(broker)
        change()

    dry_run.DryRun._save = saved
    sa.event.listen(sa.Engine, "commit", change)
    season.day(season.DAYS[5], season.settings_of(**ALONE), ["S3", "BEE"], faults=season.HALF)


if __name__ == "__main__":
    main(int(sys.argv[1]))
