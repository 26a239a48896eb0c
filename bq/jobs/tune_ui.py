"""`make tune-ui`: optuna-dashboard over the studies of tunings, to this machine alone and without changing one."""

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from bq.core.errors import BadParameters
from bq.core.log import log
from bq.jobs.listening import LOOPBACK, taken
from bq.jobs.request import Request, port
from bq.tuning import study
from bq.workbench import screen

PORT = 8070
READ = ("GET", "HEAD", "OPTIONS")


def main(request: Request) -> None:
    """Serve the page until the process is interrupted; it follows a search that is under way.

    Raises BadData where there is no study yet.
    """
    if find_spec("optuna_dashboard") is None:
        raise BadParameters(
            "`make tune-ui` needs the package `optuna-dashboard`, but it is not installed. Install it (the extra "
            "`scale` of pyproject.toml)."
        )
    name, storage = study.stored(str(request.settings.namespace))
    at = port(PORT)
    with server(storage, at) as serving:
        screen.show(f"studies     {name}")
        screen.show(f"dashboard   http://{LOOPBACK}:{serving.server_port}/  (Ctrl-C ends it)")
        try:
            serving.serve_forever()
        except KeyboardInterrupt:
            screen.show("dashboard   ended")


def server(storage: Any, at: int) -> WSGIServer:
    """A server of the page on the loopback interface. Raises BadParameters where the port is taken."""
    from optuna_dashboard import wsgi

    try:
        return make_server(LOOPBACK, at, _guarded(wsgi(storage)), server_class=Server, handler_class=Handler)
    except OSError as error:
        raise taken(LOOPBACK, at, error) from None


def _guarded(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The page, to browsers that ask for this host, and to look at: what it would change, it may not."""

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        own = {f"{name}:{environ['SERVER_PORT']}" for name in (LOOPBACK, "localhost")}
        if environ.get("HTTP_HOST", "") in own and environ["REQUEST_METHOD"] in READ:
            return app(environ, start)
        start("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"This page shows studies to this machine and changes none.\n"]

    return answer


class Server(ThreadingMixIn, WSGIServer):
    """One thread a request."""

    daemon_threads = True


class Handler(WSGIRequestHandler):
    """Requests are no news."""

    def log_message(self, format: str, *values: object) -> None:
        """To the log, where it is asked for."""
        log.debug("tune-ui: " + format, *values)
