"""`make serve`: decisions over HTTP, to this machine unless told otherwise."""

import os
import socket

from bq.core.errors import BadParameters
from bq.jobs.http.guard import Guard
from bq.jobs.listening import LOOPBACK, is_local, taken
from bq.jobs.request import Request, port, value
from bq.workbench import screen

TOKEN = "BQ_SERVE_TOKEN"
PORT = 8060
SHORTEST = 16  # characters of a token


def main(request: Request) -> None:
    """Serve until the process is interrupted; a request under way is answered."""
    import uvicorn

    from bq.jobs.http.app import build
    from bq.jobs.http.metrics import Metrics

    host, at, token = value("HOST") or LOOPBACK, port(PORT), _token()
    local = is_local(host)
    if not local and token is None:
        raise BadParameters(
            f"HOST={host}: whoever asks from another machine must have a token, but {TOKEN} is not set. Set it to at "
            f"least {SHORTEST} characters, or leave HOST out."
        )
    hosts = frozenset({LOOPBACK, "localhost", "::1"}) if local else frozenset()
    counted = Metrics()
    app = build(request.strategy, request.settings, counted=counted)
    guarded = Guard(app, token=token, hosts=hosts, counted=counted.answered)
    listening = _listen(host, at)
    screen.show(f"serving     {request.settings.namespace} at http://{host}:{at}/v1/score  (Ctrl-C ends it)")
    screen.show("token       " + ("asked of everyone" if token else "none: this machine alone is answered"))
    config = uvicorn.Config(guarded, log_level="warning", access_log=False, lifespan="on", server_header=False)
    uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, at: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, at), family=family, backlog=2048)
    except OSError as error:
        raise taken(host, at, error) from None


def _token() -> str | None:
    token = os.environ.get(TOKEN, "").strip()
    if token and len(token) < SHORTEST:
        raise BadParameters(f"{TOKEN} must have at least {SHORTEST} characters; it has {len(token)}.")
    return token or None
