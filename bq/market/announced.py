"""Days that companies announce, as far as the user supplies them: data/raw/announced.csv."""

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from bq.core import files, paths
from bq.core.errors import BadData

COLUMNS = ("symbol", "date", "kind")


class Kind(StrEnum):
    """What happens on the day."""

    EARNINGS = "earnings"
    EX_DIVIDEND = "ex_dividend"


class Day(NamedTuple):
    """known : the day it was announced, before which nobody asks for it; None: always known."""

    date: dt.date
    kind: Kind
    known: dt.date | None = None


class Announced(NamedTuple):
    """Announced days by symbol; a symbol that is not in it has none that anybody knows."""

    days: Mapping[str, tuple[Day, ...]] = {}

    def holds(self, symbol: str, kind: Kind, *, after: dt.date, until: dt.date) -> bool:
        """Whether such a day lies after one and not after the other, as it was known at the first.

        >>> day = Day(dt.date(2024, 5, 2), Kind.EARNINGS, known=dt.date(2024, 4, 1))
        >>> found = Announced({"A": (day,)})
        >>> [found.holds("A", Kind.EARNINGS, after=dt.date(2024, m, 1), until=dt.date(2024, 5, 2)) for m in (3, 4)]
        [False, True]
        """
        return any(
            one.kind == kind and after < one.date <= until and (one.known is None or one.known <= after)
            for one in self.days.get(symbol, ())
        )


NOTHING = Announced()


def load() -> Announced:
    """The user's file: symbol, date, kind (earnings or ex_dividend) and, where it matters, known; nothing without one.

    Raises BadData for a file without these columns, or with a row that is none of this.
    """
    path = paths.raw_announced()
    if not path.is_file():
        return NOTHING
    rows = files.read_csv(path, infer_schema=False)
    if missing := [name for name in COLUMNS if name not in rows.columns]:
        raise BadData(f"{path}: must have the columns {', '.join(COLUMNS)}, but {', '.join(missing)} is missing.")
    found: dict[str, list[Day]] = {}
    for number, row in enumerate(rows.to_dicts(), start=2):
        try:
            known = row.get("known")
            day = Day(dt.date.fromisoformat(row["date"]), Kind(row["kind"]), known and dt.date.fromisoformat(known))
        except (TypeError, ValueError) as error:
            raise BadData(
                f"{path}, line {number}: date and known must be days such as 2024-05-02, kind one of "
                f"{', '.join(Kind)}, but: {error}."
            ) from None
        found.setdefault(str(row["symbol"]), []).append(day)
    return Announced({symbol: tuple(days) for symbol, days in found.items()})
