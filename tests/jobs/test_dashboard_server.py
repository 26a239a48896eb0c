"""`make dashboard`: to this machine alone, files of outputs/ alone, and the digest by which a page sees another."""

import http.client
import json
import os
import threading
from collections.abc import Iterator

import pytest

from bq.jobs import dashboard
from bq.jobs.run import publish


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    publish.write_index()
    outputs = tmp_path / "outputs"
    for name in ("run/report.html", "run/.hidden", ".under_way/run.json", ".index.html.1.x.tmp"):
        (outputs / name).parent.mkdir(exist_ok=True)
        (outputs / name).write_text(f"content of {name}")
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / "secret.txt").write_text("secret")
    for folder in ("docs", "docs/our containers"):
        (outputs / folder).mkdir()
        (outputs / folder / "index.html").write_text(f"index of {folder}")
    (outputs / "leads_out").mkdir()
    (outputs / "leads_out" / "index.html").symlink_to(tmp_path / "data" / "secret.txt")
    (outputs / "latest").symlink_to(outputs / "run")
    (outputs / "out.txt").symlink_to(tmp_path / "data" / "secret.txt")
    (outputs / "data").symlink_to(tmp_path / "data")
    os.mkfifo(outputs / "pipe")
    return tmp_path


@pytest.fixture
def serving(home) -> Iterator[dashboard.Server]:
    with dashboard.server(0) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(serving, path: str, *, method: str = "GET", host: str | None = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", serving.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    if host != "":
        connection.putheader("Host", host or f"127.0.0.1:{serving.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    answer.content = answer.read()
    connection.close()
    return answer


def test_only_this_machine_is_listened_to(serving):
    assert serving.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_left_for_a_free_one(serving):
    with dashboard.server(serving.server_port) as other:
        assert other.server_port != serving.server_port


@pytest.mark.parametrize(
    "path", ["/", "/index.html", "/run/report.html", "/latest/report.html", "/?x=1", "/docs/", "/docs/?x=1"]
)
def test_pages_of_outputs_are_served(serving, home, path):
    answer = ask(serving, path)
    assert answer.status == 200 and answer.getheader("Content-Type") == "text/html"
    assert int(answer.getheader("Content-Length")) == len(answer.content) > 0
    assert answer.getheader("X-Content-Type-Options") == "nosniff" and answer.getheader("Cache-Control") == "no-store"


@pytest.mark.parametrize(
    ("path", "slash"),
    [("/docs", "/docs/"), ("/docs/our%20containers", "/docs/our%20containers/"), ("//docs", "/docs/")],
)
def test_a_folder_with_an_index_is_answered_by_it_at_the_address_with_a_slash(serving, path, slash):
    answer = ask(serving, path)
    assert (answer.status, answer.getheader("Location"), answer.content) == (301, slash, b"")
    assert ask(serving, slash).content.startswith(b"index of docs")


REFUSED = {
    "parent": "/../data/secret.txt",
    "parent, escaped": "/%2e%2e/data/secret.txt",
    "parent, slash escaped": "/..%2fdata%2fsecret.txt",
    "parent, twice escaped": "/%252e%252e/data/secret.txt",
    "parent of a folder": "/run/../../data/secret.txt",
    "absolute": "//etc/hostname",
    "backslash": "/..\\data\\secret.txt",
    "link to a file outside": "/out.txt",
    "link to a folder outside": "/data/secret.txt",
    "folder": "/run",
    "folder with a slash": "/run/",
    "index that is a link to a file outside": "/leads_out/",
    "the same, without a slash": "/leads_out",
    "hidden folder": "/.under_way/run.json",
    "hidden file": "/run/.hidden",
    "hidden, escaped": "/run/%2ehidden",
    "half-written": "/.index.html.1.x.tmp",
    "pipe": "/pipe",
    "null": "/index.html%00.txt",
    "no text": "/%ff%fe",
    "missing": "/nothing.html",
    "long": "/" + "a" * 5000,
}


@pytest.mark.parametrize("path", REFUSED.values(), ids=list(REFUSED))
def test_nothing_else_is_reachable_and_no_folder_is_listed(serving, path):
    answer = ask(serving, path)
    assert answer.status == 404 and b"secret" not in answer.content.replace(b"secret.txt", b"")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8050", "127.0.0.1", "", "127.0.0.1:1"])
def test_a_name_that_was_pointed_here_is_refused(serving, host):
    assert ask(serving, "/", host=host).status == 403


def test_localhost_is_a_name_of_this_machine(serving):
    assert ask(serving, "/", host=f"localhost:{serving.server_port}").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(serving, method):
    assert ask(serving, "/index.html", method=method).status == 501


def test_the_digest_is_the_one_in_the_page_and_changes_with_it(serving, home):
    page = home / "outputs" / "index.html"
    first = json.loads(ask(serving, "/digest.json").content)["digest"]
    assert len(first) == 64 and f'<meta name="digest" content="{first}">' in page.read_text()
    (home / "outputs" / "20261120T000000Z_x").mkdir()
    (home / "outputs" / "20261120T000000Z_x" / "run.json").write_text("{")
    publish.write_index()
    assert json.loads(ask(serving, "/digest.json").content)["digest"] != first
    page.unlink()
    assert ask(serving, "/digest.json").status == 404


def test_the_page_may_ask_only_where_it_came_from(home):
    page = (home / "outputs" / "index.html").read_text()
    assert "connect-src 'self';" in page and "default-src 'none'" in page
