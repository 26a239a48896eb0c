"""`make dashboard`: serves outputs/ to this machine alone; the page loads itself again when something new lands."""

import errno
import io
import json
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from bq.core import files, paths
from bq.core.errors import BadParameters
from bq.core.log import log
from bq.jobs.listening import LOOPBACK
from bq.jobs.request import Request, port, value
from bq.jobs.run import publish
from bq.workbench import dashboard, screen

PORT = 8050  # another free one where it is taken
PAGE, DIGEST = "/index.html", "/digest.json"


def main(request: Request) -> None:
    """Rebuild the page and serve it until the process is interrupted."""
    publish.write_index()
    with server(port(PORT), wanted=value("PORT") is not None) as serving:
        screen.show(f"dashboard   http://{LOOPBACK}:{serving.server_port}/  (Ctrl-C ends it)")
        try:
            serving.serve_forever()
        except KeyboardInterrupt:
            screen.show("dashboard   ended")


def server(number: int, *, wanted: bool = False) -> ThreadingHTTPServer:
    """A server of outputs/ on the loopback interface, at this port or, where it is taken, at a free one.

    wanted : no other port will do. Raises BadParameters where that is taken, or not for this user.
    """
    try:
        return Server((LOOPBACK, number), Handler)
    except OSError as error:
        if wanted:
            raise BadParameters(f"PORT={number}: must be free to listen at, but {error.strerror}.") from None
        if error.errno != errno.EADDRINUSE:
            raise
        return Server((LOOPBACK, 0), Handler)


class Server(ThreadingHTTPServer):
    """One thread a request; a port that is in use is not shared."""

    allow_reuse_address = False
    daemon_threads = True


class Handler(SimpleHTTPRequestHandler):
    """Answers GET and HEAD for regular files of outputs/ that are not hidden; of a folder its index.html, no list.

    Requests for another host are refused: a page of elsewhere whose name points here would read along.
    """

    server: ThreadingHTTPServer
    server_version, sys_version = "dashboard", ""

    def send_head(self):  # type: ignore[no-untyped-def]
        """The headers, and what follows them; None where the request is refused."""
        own = {f"{name}:{self.server.server_port}" for name in (LOOPBACK, "localhost")}
        if self.headers.get("Host", "") not in own:
            return self.send_error(HTTPStatus.FORBIDDEN)
        found = _asked(self.path)
        if found is None:
            return self.send_error(HTTPStatus.NOT_FOUND)
        address = urlsplit(self.path).path
        try:
            if address == DIGEST:
                return self._digest()
            if found.is_dir():
                folder, found = found, found / PAGE[1:]
                if not (found.is_file() and paths.inside(found, paths.outputs())):
                    return self.send_error(HTTPStatus.NOT_FOUND)
                if not address.endswith("/"):
                    return self._moved(folder)
            file = files.regular(found)
        except OSError:
            return self.send_error(HTTPStatus.NOT_FOUND)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", self.guess_type(str(found)))
        self.send_header("Content-Length", str(found.stat().st_size))
        self.end_headers()
        return file

    def _moved(self, folder: Path) -> None:
        """To the address with a slash, from which the links of the folder's page lead."""
        self.send_response(HTTPStatus.MOVED_PERMANENTLY)
        self.send_header("Location", f"/{quote(folder.relative_to(paths.outputs()).as_posix())}/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _digest(self):  # type: ignore[no-untyped-def]
        content = json.dumps({"digest": dashboard.digest(paths.outputs() / PAGE[1:])}).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return io.BytesIO(content)

    def end_headers(self) -> None:
        """Nothing is kept by the browser, framed by another page, or taken for another type."""
        for name, text in HEADERS.items():
            self.send_header(name, text)
        super().end_headers()

    def log_message(self, format: str, *values: object) -> None:
        """Requests are no news."""
        log.debug("dashboard: " + format, *values)


HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def _asked(address: str) -> Path | None:
    """The file or folder of outputs/ that an address names; None for what is hidden, or leads out of the folder."""
    path = unquote(urlsplit(address).path)
    parts = [part for part in (PAGE if path == "/" else path).split("/") if part]
    if not parts or "\0" in path or any(part.startswith(".") for part in parts):
        return None
    found = paths.outputs().joinpath(*parts)
    return found if paths.inside(found, paths.outputs()) else None
