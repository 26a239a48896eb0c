"""The cash of an account against what the ledger moved, from the first time that both were known."""

import datetime as dt
from pathlib import Path
from typing import NamedTuple

from bq.core import files, paths
from bq.trading import positions


class Cash(NamedTuple):
    """In parts. told : by the broker. moved : by the ledger since its first order. unexplained : the rest of what came
    since `since`: interest, fees, dividends, deposits, or a fill that nobody knows of.
    """

    told: int
    moved: int
    unexplained: int
    since: dt.date


def compared(account: str, told: int, session: dt.date) -> Cash:
    """The cash of an account. What it began with, apart from all that the ledger moved, is kept from the first time."""
    moved = sum(one.cash - one.commissions + one.events for one in positions.accounts(account))
    path = _kept(account)
    if not path.is_file():
        files.write_json(path, {"began_with": told - moved, "session": session.isoformat()})
    known = files.read_json(path)
    return Cash(told, moved, told - moved - known["began_with"], dt.date.fromisoformat(known["session"]))


def _kept(account: str) -> Path:
    return paths.home() / "data" / "accounts" / f"{account}.json"
