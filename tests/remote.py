"""A bucket of moto's S3 on this machine, and what was asked of it."""

import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import fsspec
import pytest

from bq.core import objects, paths
from bq.core.objects import Place

ACCESS = {
    "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "canary/of+forty+characters+in+no+message",
    "AWS_DEFAULT_REGION": "us-east-1",
}


KILLED = """
import os, signal, sys
import polars as pl
from bq.core import objects, partitions
from bq.core.objects import Place
real = objects._put
def killing(system, contents):
    if any(path.endswith(partitions.POINTER) for path in contents):
        os.kill(os.getpid(), signal.SIGKILL)
    real(system, contents)
objects._put = killing
main = pl.DataFrame({"symbol": ["NEW"], "session": ["x"]}, schema={"symbol": pl.String, "session": pl.String})
place = Place(sys.argv[1], tuple(sys.argv[2:]))
partitions.write(place, "rows", {"rows": main.clear(), "more": main}, {}, instead_of=None)
"""


def killed_before_the_pointer(place: Place) -> bool:
    """Whether a process that was to replace the tables at a place was killed when all but the pointer was written."""
    command = [sys.executable, "-c", KILLED, place.root, *place.below]
    done = subprocess.run(command, cwd=paths.CHECKOUT, env=os.environ, timeout=300, capture_output=True)
    return done.returncode == -signal.SIGKILL


class Requests(logging.Handler):
    """The lines that the server logs, one a request: what it was asked, by whomever."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def got(self) -> list[str]:
        """Paths of the objects that were fetched since `clear`."""
        return [found[1] for line in self.lines if (found := re.search(r'"GET /bucket/([^? ]+) HTTP', line))]

    def clear(self) -> None:
        self.lines.clear()


@contextmanager
def bucket() -> Iterator[Requests]:
    """S3 with an empty bucket `bucket`, which `BQ_DATA_ROOT=s3://bucket/…` then means."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    requests, log = Requests(), logging.getLogger("werkzeug")
    before = log.level
    log.addHandler(requests)
    log.setLevel(logging.INFO)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ACCESS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            patch.setenv(name, value)
        _forget()
        fsspec.filesystem("s3").mkdir("bucket")
        yield requests
    log.removeHandler(requests)
    log.setLevel(before)
    _forget()
    server.stop()


def _forget() -> None:
    """Connections to another server of the same URL."""
    objects._system.cache_clear()
    fsspec.get_filesystem_class("s3").clear_instance_cache()
