"""A world of its own: a home with a database, models and outputs that are nobody's but this one's.

What measures, replays or reproduces works in one, so that nothing of it reaches the user's models, ledger or runs.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bq.core import db, paths

HOME, DATABASE = "BQ_HOME", "BQ_DATABASE_URL"
READ_ALONE = Path("data") / "raw"  # what users bring: the same in every world


@contextmanager
def own(folder: Path | None = None) -> Iterator[Path]:
    """Work in a world at `folder`, which stays; without one in a temporary folder, which is removed afterwards.

    The files that the user brings (data/raw) are there through a link.
    """
    raw = paths.home() / READ_ALONE
    before: dict[str, Any] = {name: os.environ.pop(name, None) for name in (HOME, DATABASE, db.OWN_WORLD)}
    home = folder or Path(tempfile.mkdtemp(prefix="bq-world-"))
    link = home / READ_ALONE
    link.parent.mkdir(parents=True, exist_ok=True)
    if raw.is_dir() and not os.path.lexists(link):
        link.symlink_to(raw, target_is_directory=True)
    os.environ |= {HOME: str(home), db.OWN_WORLD: "1"}
    try:
        yield home
    finally:
        db.close()
        for name in (HOME, db.OWN_WORLD):
            os.environ.pop(name)
        os.environ.update({name: value for name, value in before.items() if value is not None})
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)
