"""`make cluster`: a Dask scheduler and workers on this machine, or workers that join those of another."""

import asyncio
import logging
import os
import warnings
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

from bq.core import signals
from bq.core.cluster import CERTIFICATE, SECONDS, SILENT, needed, quiet, security
from bq.core.errors import BadParameters, BQError, reason
from bq.core.parallel import SCHEDULER, workers
from bq.jobs.listening import LOOPBACK, is_local, taken
from bq.jobs.request import Request, port, value, whole
from bq.jobs.run.memory import Limits
from bq.workbench import screen
from bq.workbench.phrases import counted

PORT = 8786
DASHBOARD = 8787  # of Dask, on loopback alone; another free port where it is taken


def main(request: Request) -> None:
    """Keep a scheduler and workers, or workers alone where `BQ_DASK_SCHEDULER` names a scheduler, until interrupted.

    Raises BadParameters where the scheduler would be reached from other machines without `BQ_DASK_TLS`: whoever
    reaches one runs programs with the rights of its user.
    """
    needed()
    number, joined = whole("WORKERS") or workers(), os.environ.get(SCHEDULER)
    target = Limits.of(request.settings.run.memory_ceiling_share).target
    shared: dict[str, Any] = {"security": security(), "memory_limit": target * 2**20 // number}
    quiet()
    warnings.filterwarnings("ignore", "Port", UserWarning)  # of Dask's page: another free one is taken
    asyncio.run(_joined(joined, number, shared) if joined else _begun(number, shared))


async def _begun(number: int, shared: dict[str, Any]) -> None:
    """A scheduler and workers."""
    from distributed import Scheduler

    host, at = value("HOST") or LOOPBACK, port(PORT)
    _check(host, "HOST")
    asked: Any = {"host": host, "port": at, "protocol": "tls://" if shared["security"] else "tcp://"}
    page: Any = {"dashboard": True, "dashboard_address": f"{LOOPBACK}:{DASHBOARD}"}
    async with AsyncExitStack() as stack:
        try:
            scheduler = await stack.enter_async_context(Scheduler(**asked, **page, security=shared["security"]))
        except RuntimeError as error:  # which Dask makes of it
            if not isinstance(error.__cause__, OSError):
                raise
            raise taken(host, at, error.__cause__) from None
        made = await _work(stack, scheduler.address, host, number, shared)
        screen.show(f"cluster     {counted(number, 'worker')} at {scheduler.address}  (Ctrl-C ends it)")
        screen.show(f"use it      export {SCHEDULER}={scheduler.address}")
        screen.show(f"join it     {_how_to_join(host, scheduler.address)}")
        screen.show(f"watch it    http://{LOOPBACK}:{scheduler.http_server.port}/status")
        await _interrupted(made)


def _how_to_join(host: str, address: str) -> str:
    if is_local(host):
        return f"from this machine alone; HOST=<its address> and {CERTIFICATE} let others in"
    return f"on another machine, with the same {CERTIFICATE}: {SCHEDULER}={address} make cluster"


async def _joined(address: str, number: int, shared: dict[str, Any]) -> None:
    """Workers of a scheduler that runs elsewhere."""
    from distributed.utils import get_ip

    there = urlsplit(address).hostname or ""
    _check(there, SCHEDULER)
    async with AsyncExitStack() as stack:
        own = value("HOST") or (LOOPBACK if is_local(there) else get_ip(there))
        try:
            made = await asyncio.wait_for(_work(stack, address, own, number, shared), 2 * SECONDS)
        except (OSError, RuntimeError, ValueError) as error:
            raise BadParameters(
                f"{SCHEDULER} must be the address of a Dask scheduler that answers, but {address!r} did not: "
                f"{reason(_cause(error)).rstrip('.')}. Without the variable, `make cluster` starts one."
            ) from None
        screen.show(f"cluster     {counted(number, 'worker')} joined {address}  (Ctrl-C ends them)")
        await _interrupted(made)


def _cause(error: Exception) -> Exception:
    """The first of a chain: Dask says again and again that something failed to start."""
    return _cause(error.__cause__) if isinstance(error.__cause__, Exception) else error


async def _work(stack: AsyncExitStack, address: str, host: str, number: int, shared: dict[str, Any]) -> list[Any]:
    """Start workers of one thread each; one that dies is started anew."""
    from distributed import Nanny

    page: Any = {"dashboard": False, "dashboard_address": f"{LOOPBACK}:0"}  # where it listens all the same
    made = [Nanny(address, host=host, nthreads=1, silence_logs=SILENT, **page, **shared) for _ in range(number)]
    logging.getLogger("distributed.nanny").setLevel(logging.WARNING)  # says which worker died
    return await asyncio.gather(*(stack.enter_async_context(one) for one in made))


def _check(host: str, variable: str) -> None:
    if not is_local(host) and security() is None:
        raise BadParameters(
            f"{variable}={host}: where other machines reach a cluster, only those with its key may, as it runs what it "
            f"is sent; but {CERTIFICATE} is not set. It names a folder with cert.pem and key.pem (docs/cluster.md)."
        )


async def _interrupted(made: list[Any]) -> None:
    """Wait for a signal. Raises BQError where all workers end before, as they do without their scheduler."""
    over, loop = asyncio.Event(), asyncio.get_running_loop()
    waiting: list[Any] = [asyncio.ensure_future(over.wait()), asyncio.gather(*(one.finished() for one in made))]
    with signals.handled(lambda *_: loop.call_soon_threadsafe(over.set)):
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    quiet()
    if not over.is_set():
        raise BQError(
            "the scheduler must stay, but it is gone, and its workers ended. Start it, then `make cluster` again."
        )
    screen.show("cluster     ended")
