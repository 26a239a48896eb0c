"""The heartbeat of trials under way in a shared storage: without one for long, others take a trial for dead."""

import threading
from collections.abc import Mapping

import optuna
import sqlalchemy as sa
from optuna.storages import RDBStorage

from bq.core.log import log


class Heart:
    """Beats in a thread of its own while the block runs, also through a time without the database.

    Optuna's own beats once a trial and ends at the first error.
    """

    def __init__(self, storage: RDBStorage | None, seconds: float, under_way: Mapping[int, object]) -> None:
        """storage : None where no other process looks; then nothing beats. under_way : by the id of a trial."""
        self._storage, self._seconds, self._under_way = storage, seconds, under_way
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Heart":
        if self._storage:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def _beat(self) -> None:
        while not self._stop.wait(self._seconds):
            for trial in list(self._under_way):
                try:
                    if self._storage:
                        self._storage.record_heartbeat(trial)
                except (optuna.exceptions.OptunaError, sa.exc.SQLAlchemyError) as error:
                    log.debug("no heartbeat of trial %d: %s", trial, error)
