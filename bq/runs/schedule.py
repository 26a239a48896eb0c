"""Whether runs come as often as they are expected to."""

import datetime as dt
from typing import NamedTuple


class Schedule(NamedTuple):
    """The newest run of a namespace, and how often one is expected."""

    last_utc: dt.datetime | None  # None: there was none
    every_days: int | None  # None: none is expected

    def days(self, now: dt.datetime) -> int | None:
        """Whole days since the newest run; None where there was none."""
        return None if self.last_utc is None else max((now - self.last_utc).days, 0)

    def overdue(self, now: dt.datetime) -> bool:
        """Whether a run is expected and more days than that went by without one."""
        days = self.days(now)
        return self.every_days is not None and (days is None or days > self.every_days)
