"""`python -m tests.bench.load`: latency of a served model at a rate of requests, and rows a second in batches.

A server is started on a free port of this machine, with a planted butterfly model of a home of its own; requests leave
at fixed times, whether or not earlier ones were answered, so that waiting is measured (no coordinated omission).
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PLANTED = {"STRATEGY": "butterfly", "PARAMS": str(ROOT / "parameters" / "simulated" / "butterfly.yaml")}
CONNECTIONS = 16
EARLY = 0.002  # seconds: a timer is late by up to one millisecond, which would count as the server's


def main() -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--batch", type=int, default=20_000, help="rows of a batch")
    parser.add_argument("--home", help="a home with a deployed model; else one is made (a minute)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bq-load-") as made:
        environment = {**os.environ, **PLANTED, "BQ_HOME": given.home or made, "PORT": str(_free())}
        if not given.home:
            subprocess.run([sys.executable, "-m", "bq", "retrain"], cwd=ROOT, env=environment, check=True)
        server = subprocess.Popen([sys.executable, "-m", "bq", "serve"], cwd=ROOT, env=environment)
        try:
            _measured(int(environment["PORT"]), given)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


def _measured(port: int, given: argparse.Namespace) -> None:
    asks = _champion(port)
    if asks["model"] is None:
        sys.exit("load: a model must be deployed in the home, but the rule score decides.")
    rng = np.random.default_rng(0)
    row = {name: "CALL" if name == "structure" else float(rng.normal()) for name in asks["columns"]}
    host, body = f"HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n", json.dumps({"features": row}).encode()
    asked = {
        "that ask nothing (/healthz)": f"GET /healthz {host}\r\n".encode(),
        "for a decision": f"POST /v1/score {host}Content-Length: {len(body)}\r\n\r\n".encode() + body,
    }
    for what, request in asked.items():
        waited = asyncio.run(_at_rate(port, request, given.rate, given.seconds))
        p50, p99 = np.percentile(waited, [50, 99])
        print(f"{len(waited):,} requests {what}, {given.rate} a second: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    batch = json.dumps({"features": {name: [value] * given.batch for name, value in row.items()}}).encode()
    taken = [_posted(port, batch) for _ in range(5)]
    print(f"batches of {given.batch:,}: {given.batch / float(np.median(taken)):,.0f} rows a second (median of 5)")


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def _champion(port: int) -> dict:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/champion") as found:
                return json.load(found)
        except OSError:
            time.sleep(0.1)
    sys.exit("load: the server did not begin to answer within a minute.")


def _posted(port: int, body: bytes) -> float:
    begun = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/score", body) as found:
        found.read()
    return time.perf_counter() - begun


async def _at_rate(port: int, request: bytes, rate: int, seconds: int) -> list[float]:
    """Milliseconds from when each request was due to its answer."""
    queue: asyncio.Queue[float | None] = asyncio.Queue()
    waited: list[float] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (due := await queue.get()) is not None:
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer[:60]
            length = next(
                int(line[15:]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length")
            )
            await reader.readexactly(length)
            waited.append(1e3 * (time.perf_counter() - due))
        writer.close()

    open_ones = [asyncio.create_task(connection()) for _ in range(CONNECTIONS)]
    begun = time.perf_counter() + 0.5
    for i in range(rate * seconds):
        due = begun + i / rate
        await asyncio.sleep(max(due - time.perf_counter() - EARLY, 0.0))
        while time.perf_counter() < due:
            await asyncio.sleep(0)
        queue.put_nowait(due)
    for _ in open_ones:
        queue.put_nowait(None)
    await asyncio.gather(*open_ones)
    return waited[len(waited) // 10 :]  # the first tenth warms up


if __name__ == "__main__":
    main()
