"""Work on a Dask cluster: `BQ_DASK_SCHEDULER` names its scheduler, `make cluster` starts one.

One client a process, and a function with all that is bound to it is sent once, not with every task. Not joblib's
backend for Dask: it binds data to each task (joblib#1021), and waits for ever for a task whose worker was killed too
often (joblib 1.6, distributed 2026.8).
"""

import logging
import os
import platform
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bq.core import files, paths
from bq.core.errors import BadParameters, BQError, reason
from bq.core.log import log
from bq.core.parallel import SCHEDULER
from bq.core.versions import PACKAGES, packages

if TYPE_CHECKING:
    from distributed import Client, Security

T = TypeVar("T")
CERTIFICATE = "BQ_DASK_TLS"  # a folder with cert.pem and key.pem, the same on every machine
SECONDS, WORKER_SECONDS = 10, 30  # for the scheduler to answer, and for a first worker to come
LOSSES = 3  # in a row: what was sent was lost with all workers that held it, and not one item was done
ROLES = ("client", "scheduler", "worker")
SILENT = logging.CRITICAL + 1  # no message has this level
ALIKE = (*PACKAGES, "cloudpickle", "distributed", "numba", "xgboost")  # have one version on every machine


def completed(function: Callable[[Any], T], items: Sequence[Any], *, description: str) -> Iterator[tuple[int, T]]:
    """The place of each item and its result, as soon as it is there; tasks of lost workers are run again by others.

    An error raised by `function` reaches the caller as itself. Raises BadParameters where there is no scheduler, or a
    worker runs another version; BQError where the scheduler is lost, or a task's worker was killed again and again.
    """
    client = connected(os.environ[SCHEDULER])
    from distributed import KilledWorker

    left, lost = dict(enumerate(items)), 0
    while lost < LOSSES:
        before = len(left)
        try:
            for place, result in _sent(client, function, left):
                del left[place]
                yield place, result
            return
        except KilledWorker:
            break
        except _Lost:
            if client.status != "running":
                raise _gone(description) from None
            lost = lost + 1 if len(left) == before else 0
            log.warning("%s: the workers that held its data were lost; it is sent again", description)
    raise BQError(
        f"{description}: every task must run to its end, but the workers that had one were killed again and again, "
        "most likely because their machine ran out of memory. Start fewer workers a machine, or try fewer symbols."
    )


class _Lost(Exception):
    """The scheduler, or all workers that held what was sent."""


def _sent(client: "Client", function: Callable[[Any], T], left: dict[int, Any]) -> Iterator[tuple[int, T]]:
    """Results of the items that are left. The function goes to every worker once, whatever is bound to it."""
    from distributed import as_completed
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError

    try:
        _check_workers(client)
        [bound] = client.scatter([Parcel.of(function)], broadcast=True, hash=False)
    except OSError as error:
        raise _Lost from error
    work = partial(client.submit, _task, bound, versions=_versions(), pure=False)
    places = {work(Parcel.of(item)): place for place, item in left.items()}
    try:
        for future in as_completed(places, loop=client.loop):
            try:
                made = future.result()
            except (FutureCancelledError, CommClosedError) as error:
                raise _Lost from error
            yield places.pop(future), made.content
    finally:
        if client.status == "running":
            client.cancel([*places, bound])


class Parcel:
    """What travels, in one piece. Opened where it is used, once in each process.

    Dask alone would let arrays lie in memory where they arrived, unaligned: there numpy adds in another order than
    elsewhere, and the last bits differ.
    """

    def __init__(self, packed: bytes) -> None:
        self.packed = packed

    @staticmethod
    def of(content: Any) -> "Parcel":
        """Packed."""
        import cloudpickle

        return Parcel(cloudpickle.dumps(content))

    @cached_property
    def content(self) -> Any:
        """Opened."""
        import cloudpickle

        return cloudpickle.loads(self.packed)

    def __sizeof__(self) -> int:
        """What Dask plans with."""
        return len(self.packed)

    def __reduce__(self) -> tuple[Any, ...]:
        """Without what was opened."""
        return Parcel, (self.packed,)


def _task(function: Parcel, item: Parcel, *, versions: dict[str, str]) -> Parcel:
    """Run one item in a worker."""
    _begin()
    if own := _difference(versions, _versions()):
        raise _other_version(f"{socket.gethostname()} (process {os.getpid()})", own)
    return Parcel.of(function.content(item.content))


@cache
def _begin() -> None:
    """Once in a worker: its own steps stay in it, in one thread."""
    from threadpoolctl import threadpool_limits

    os.environ.pop(SCHEDULER, None)
    os.environ |= dict.fromkeys(("BQ_WORKERS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    threadpool_limits(1)  # of what is loaded already


@cache
def connected(address: str) -> "Client":
    """The client of this process. Raises BadParameters where the scheduler does not answer."""
    needed()
    from distributed import Client, Security

    quiet()
    own = security()
    if address.startswith("tls") and not (own or Security()).get_connection_args("client").get("ssl_context"):
        raise BadParameters(f"{SCHEDULER} is {address}: who connects must have the key, but {CERTIFICATE} is not set.")

    try:
        return Client(address, timeout=SECONDS, set_as_default=False, security=own)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise BadParameters(
            f"{SCHEDULER} must be the address of a Dask scheduler that answers, such as tcp://127.0.0.1:8786, but "
            f"{address!r} did not within {SECONDS} s: {reason(error)}. Start one with `make cluster`, or unset the "
            "variable to work on this machine."
        ) from None


def needed() -> None:
    """Raise BadParameters where Dask is not installed."""
    if find_spec("distributed") is None:
        raise BadParameters(
            "a Dask cluster needs the package `distributed`, but it is not installed. Install it (the extra `scale` of "
            f"pyproject.toml), or unset {SCHEDULER} to work on this machine."
        )


def quiet() -> None:
    """Let Dask log nothing: what fails is said by us."""
    import distributed  # noqa: F401  which sets levels when it is imported

    for name in ("distributed", "distributed.client", "distributed.nanny"):
        logging.getLogger(name).setLevel(SILENT)


def security() -> "Security | None":
    """What connections are encrypted with, and who is let in: whoever has the key of `BQ_DASK_TLS`; None without it.

    Raises BadParameters for a folder that does not hold both files.
    """
    given = os.environ.get(CERTIFICATE, "").strip()
    if not given:
        return None
    from distributed import Security

    own, key = (Path(given).expanduser() / name for name in ("cert.pem", "key.pem"))
    if not (own.is_file() and key.is_file()):
        raise BadParameters(
            f"{CERTIFICATE} must be a folder with cert.pem and key.pem, but {given} does not hold both."
        )
    held = {f"tls_{who}_{what}": str(path) for who in ROLES for what, path in (("cert", own), ("key", key))}
    return Security(tls_ca_file=str(own), require_encryption=True, **held)


def _check_workers(client: "Client") -> None:
    """Raise BadParameters unless there are workers, each with one thread and this process's versions."""
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError:
        raise BadParameters(
            f"{SCHEDULER}: the scheduler must have a worker, but none came to {client.scheduler.address} within "
            f"{WORKER_SECONDS} s. `make cluster` starts some."
        ) from None
    threads = {address: worker["nthreads"] for address, worker in client.scheduler_info()["workers"].items()}
    crowded = [address for address, count in threads.items() if count != 1]
    if crowded:
        raise BadParameters(
            f"a Dask worker must have one thread, as a task sets what its whole process works with, but {crowded[0]} "
            f"has {threads[crowded[0]]}. Start it with `make cluster`, or `dask worker --nthreads 1 --nworkers …`."
        )
    for address, found in client.run(_versions, on_error="return").items():
        if isinstance(found, OSError):
            continue  # it was lost meanwhile; each task asks again
        if isinstance(found, Exception):
            raise _other_version(address, f"it answers {type(found).__name__}: {reason(found)}")
        if other := _difference(_versions(), found):
            raise _other_version(address, other)


def _other_version(worker: str, what: str) -> BadParameters:
    return BadParameters(
        f"every Dask worker must run this version of bq and its packages, as another gives other numbers, but the one "
        f"at {worker} does not: {what}. Update that machine, and start its workers again."
    )


@cache
def _versions() -> dict[str, str]:
    """What results depend on in this process."""
    package = paths.CHECKOUT / "bq"
    code = files.digest_of_files(sorted(package.rglob("*.py")), package)
    return {"Python": platform.python_version(), **packages(ALIKE), "code of bq": code}


def _difference(asked: dict[str, str], found: dict[str, str]) -> str:
    """The first version that differs, in words; empty where none does."""
    names = [name for name in asked if asked[name] != found.get(name)]
    return f"{names[0]} is {found.get(names[0])} there and {asked[names[0]]} here" if names else ""


def _gone(description: str) -> BQError:
    connected.cache_clear()
    return BQError(
        f"{description}: the Dask scheduler of {SCHEDULER} must stay reachable, but {os.environ.get(SCHEDULER)} is "
        "gone. Start `make cluster` and run it again, or unset the variable to work on this machine."
    )
