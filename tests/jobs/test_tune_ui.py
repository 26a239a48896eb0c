"""`make tune-ui` shows kept studies to this machine, changes none, and knows no password."""

import http.client
import json
import threading
from contextlib import closing

import pytest
import sqlalchemy as sa
from optuna.distributions import FloatDistribution

pytest.importorskip("optuna_dashboard")

from bq.core.errors import BadData
from bq.jobs import tune_ui
from bq.tuning import study

RANGES = {"exit.x": FloatDistribution(0.0, 1.0)}
PAGES = ("/dashboard", "/api/studies", "/api/meta")


def searched(name: str, trials: int) -> None:
    made = study.begin(name, RANGES, seed=1, first={})
    study.run(made, lambda number, values: (values["exit.x"], {}), trials=trials)


@pytest.fixture
def ask():
    """Serves the studies of a namespace; returns what asks for a page of it."""
    started = []

    def serve(namespace: str):
        name, storage = study.stored(namespace)
        serving = tune_ui.server(storage, 0)
        started.append(serving)
        threading.Thread(target=serving.serve_forever, daemon=True).start()

        def get(path: str, *, method: str = "GET", host: str | None = None) -> tuple[int, str]:
            with closing(http.client.HTTPConnection("127.0.0.1", serving.server_port, timeout=30)) as connection:
                headers = {"Host": host or f"127.0.0.1:{serving.server_port}"}
                connection.request(method, path, headers=headers)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()

        return name, get

    yield serve
    for serving in started:
        serving.shutdown()
        serving.server_close()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path


def test_the_newest_study_of_a_namespace_is_shown_and_follows_the_search(home, ask):
    searched("toy_strategy_a", 2)
    searched("other_strategy_b", 1)
    name, get = ask("toy")
    assert name == "toy_strategy_a"
    [found] = json.loads(get("/api/studies")[1])["study_summaries"]
    assert found["study_name"] == "toy_strategy_a"
    searched("toy_strategy_a", 5)
    trials = json.loads(get(f"/api/studies/{found['study_id']}?after=0")[1])["trials"]
    assert [trial["number"] for trial in trials] == list(range(5))
    assert get("/dashboard")[0] == 200


@pytest.mark.parametrize(("method", "host"), [("DELETE", None), ("POST", None), ("GET", "evil.example")], ids=str)
def test_nothing_is_changed_and_no_other_host_is_answered(home, ask, method, host):
    searched("toy_strategy_a", 1)
    kept = (home / "data/tuning/toy_strategy_a.log").read_bytes()
    _, get = ask("toy")
    assert get("/api/studies/0", method=method, host=host)[0] == 403
    assert (home / "data/tuning/toy_strategy_a.log").read_bytes() == kept


def test_without_a_study_it_says_what_to_do(home):
    with pytest.raises(BadData, match="Run `make tune` first"):
        study.stored("toy")


def test_studies_of_postgresql_are_shown_without_the_password(home, database, monkeypatch, ask):
    canary = "canary-5c1f0d"  # the server asks for none, and takes any
    url = sa.make_url(database).set(password=canary).render_as_string(hide_password=False)
    monkeypatch.setenv("BQ_DATABASE_URL", url)
    with pytest.raises(BadData, match="Run `make tune` first"):
        study.stored("toy")
    searched("toy_strategy_a", 2)
    name, get = ask("toy")
    pages = [get(path) for path in PAGES]
    assert [status for status, _ in pages] == [200, 200, 200]
    assert "toy_strategy_a" in pages[1][1]
    assert canary not in name + "".join(text for _, text in pages)
