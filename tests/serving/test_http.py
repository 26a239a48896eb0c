"""Decisions over HTTP: what is answered, what is refused, and that a swap of the model is seen by no request."""

import asyncio
import json
import threading

import polars as pl
import pytest
from fastapi.testclient import TestClient
from toy_strategy import FEATURES, TOY, toy_settings

from bq import strategies
from bq.core import paths
from bq.core.errors import BadParameters
from bq.jobs import serve
from bq.jobs.http import app as http
from bq.jobs.http.guard import LARGEST, Guard
from bq.jobs.http.metrics import Metrics
from bq.monitoring import deciding
from bq.serving import candidate, decide, registry, scoring
from bq.strategies import store
from bq.surface import params

SETTINGS = toy_settings(policy={"k": 2, "above": 0.15})
SMALL = "market.simulation.symbols=12 market.simulation.sessions=900"
TOKEN = "correct horse battery"


@pytest.fixture(scope="module")
def made(training, success, events, tmp_path_factory) -> candidate.Candidate:
    return candidate.save(training, success, events, tmp_path_factory.mktemp("run"), strategy=TOY, settings=SETTINGS)


@pytest.fixture
def deployed(home, made) -> str:
    return registry.deploy(SETTINGS.namespace, made.artefact, reason="test")


@pytest.fixture
def client(deployed):
    with TestClient(http.build(TOY, SETTINGS)) as open_client:
        yield open_client


def row(events: pl.DataFrame) -> dict:
    model = decide.load(TOY, SETTINGS).champion.model
    return events.head(1).select(scoring.needed(model, TOY)).to_dicts()[0]


def test_a_row_is_answered_with_the_decision_and_whose_it_is(client, deployed, events):
    answer = client.post("/v1/score", json={"features": row(events)})
    theirs = decide.decide(events.head(1), TOY, SETTINGS).to_dicts()[0]
    found = answer.json()
    assert answer.status_code == 200 and found["model"] == deployed and len(found["model_digest"]) == 64
    for name in ("expected", "predicted_class", "should_trade", "threshold", "tier", "most_a_session"):
        assert found[name] == theirs[name], name
    assert found["probabilities"] == pytest.approx(theirs["class_probabilities"])


def test_a_batch_is_answered_in_columns(client, events):
    held = row(events)
    batch = {name: [value] * 200 for name, value in held.items()}
    found = client.post("/v1/score", json={"features": batch}).json()
    one = client.post("/v1/score", json={"features": held}).json()
    assert found["expected"] == [one["expected"]] * 200 and sum(found["should_trade"]) <= 2


def test_a_missing_value_is_null(client, events):
    held = row(events) | {FEATURES.columns[0]: None}
    assert client.post("/v1/score", json={"features": held}).status_code == 200


def test_without_a_model_the_rule_score_answers_and_the_server_is_ready(home):
    with TestClient(http.build(TOY, SETTINGS)) as client:
        found = client.post("/v1/score", json={"features": {"score": [61.0, 59.0]}}).json()
        assert (found["tier"], found["model"], found["should_trade"]) == (3, None, [True, False])
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/champion").json()["columns"] == ["score"]


def test_a_damaged_model_is_said_by_readiness_and_never_answers(home, deployed):
    (home / "models" / str(SETTINGS.namespace) / deployed / "model.onnx").write_bytes(b"damaged")
    with TestClient(http.build(TOY, SETTINGS)) as client:
        assert client.get("/readyz").status_code == 503 and "model.onnx" in client.get("/readyz").json()["error"]
        assert client.get("/healthz").status_code == 200


BAD = {
    "no JSON": (b"{", 422, "the body must be JSON"),
    "an unknown feature": (b'{"features": {"volt": 1}}', 422, "unexpected: volt"),
    "a list of lists": (b'{"features": {"x0": [[1]]}}', 422, "features"),
    "true for a number": (b'{"features": {"x0": true}}', 422, "features"),
    "a field of another name": (b'{"feature": {"x0": 1}}', 422, "features: field required"),
    "no date": (b'{"symbol": "A", "session": "x"}', 422, "session"),
    "NaN": (b'{"features": {"x0": NaN}}', 422, "the body must be JSON"),
    "nothing": (b"", 422, "the body must be JSON"),
    "deep": (b"[" * 100_000, 422, "the body must be JSON"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_malformed_request_is_answered_with_one_sentence(client, what):
    body, status, said = BAD[what]
    answer = client.post("/v1/score", content=body)
    assert answer.status_code == status and said in answer.json()["error"], answer.text
    assert "\n" not in answer.json()["error"] and "Traceback" not in answer.text


def test_other_paths_and_methods_are_named_with_what_there_is(client):
    assert client.get("/v2").status_code == 404 and "/v1/score" in client.get("/v2").json()["error"]
    assert client.get("/v1/score").status_code == 405


def test_requests_rows_and_the_model_are_counted(guarded, deployed, events):
    headers = [(b"authorization", f"Bearer {TOKEN}".encode())]
    asked(guarded, path="/v1/score", headers=headers, body=[json.dumps({"features": row(events)}).encode()])
    asked(guarded, path="/v2", headers=headers)
    text = guarded.counted.__self__.text().decode()
    for line in (
        'bq_requests_total{path="/v1/score",status="200"} 1.0',
        'bq_requests_total{path="other",status="404"} 1.0',
        'bq_rows_total{tier="champion"} 1.0',
        f'bq_model{{model_id="{deployed}",tier="champion"}} 1.0',
    ):
        assert line in text


def test_the_schema_names_both_kinds_of_request(client):
    schema = client.get("/openapi.json").json()["paths"]["/v1/score"]["post"]["requestBody"]
    assert {one["title"] for one in schema["content"]["application/json"]["schema"]["oneOf"]} == {"Features", "Event"}


def test_the_page_of_what_can_be_asked_loads_nothing(client):
    page = client.get("/docs").text
    assert "POST /v1/score" in page and "Rows of one session" in page and "src=" not in page and "http" not in page


def test_a_symbol_on_a_session_is_decided_on_as_a_scan_decides(home):
    settings = params("breakout", str(paths.CHECKOUT / "parameters" / "simulated" / "breakout.yaml"), overrides=SMALL)
    strategy = strategies.of(settings)
    market = store.market_data(settings)
    event = store.collect(strategy, settings, market).events.row(-1, named=True)
    events = store.at(strategy, settings, market, event["session"])
    theirs = deciding.answered(events, strategy, settings, market, models=decide.load(strategy, settings))
    with TestClient(http.build(strategy, settings)) as client:
        asked_for = {"symbol": event["symbol"], "session": str(event["session"])}
        (found,) = client.post("/v1/score", json=asked_for).json()["decisions"]
        (own,) = theirs.filter(pl.col("symbol") == event["symbol"]).to_dicts()
        names = ("event_id", "score", "should_trade", "tier", "threshold")
        assert {name: found[name] for name in names} == {name: own[name] for name in names}
        (explained,) = client.get("/v1/explain", params=asked_for).json()["explanations"]
        assert explained["contributions"] is None and len(explained["nearest"]) == 8 and explained["past_events"] > 60
        for session, symbol, said in (
            (asked_for["session"], "NOPE", "must be one that the market has bars of"),
            ("2031-01-01", asked_for["symbol"], "must be a session with bars"),
        ):
            answer = client.post("/v1/score", json={"symbol": symbol, "session": session})
            assert answer.status_code == 422 and said in answer.json()["error"]


def test_a_swap_under_load_is_seen_by_no_request(home, made, deployed, events, monkeypatch):
    monkeypatch.setattr(http, "EVERY", 0.01)
    body, seen, faults = json.dumps({"features": row(events)}), set(), []
    other = made.artefact.bundle.model_copy(update={"trade_above": 0.3})
    second = registry.Artefact.of(made.artefact.graph, other, made.artefact.card)
    with TestClient(http.build(TOY, SETTINGS)) as client:
        swap = threading.Thread(target=lambda: registry.deploy(SETTINGS.namespace, second, reason="test"))
        for i in range(2000):
            if i == 20:
                swap.start()
            answer = client.post("/v1/score", content=body)
            if answer.status_code != 200:
                faults.append(answer.text)
            seen.add((answer.json()["model"], answer.json()["threshold"]))
            if len(seen) == 2:
                break
        swap.join()
    assert not faults and seen == {(deployed, 0.15), (second.model_id, 0.3)}


def asked(guarded, *, path="/v1/champion", headers=(), body=(b"",)) -> tuple[int, dict]:
    """Status and content of a request to an ASGI application, straight."""
    parts, sent = [*body], []

    async def receive():
        part = parts.pop(0) if parts else b""
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message):
        sent.append(message)

    known = [(b"host", b"127.0.0.1:8060"), *headers]
    own = {name for name, _ in headers}
    scope = {
        "type": "http", "method": "POST" if path == "/v1/score" else "GET", "path": path, "raw_path": path.encode(),
        "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1", "server": ("127.0.0.1", 8060),
        "client": ("127.0.0.1", 1), "headers": [one for one in known if one in headers or one[0] not in own],
    }  # fmt: skip
    asyncio.run(guarded(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.fixture
def guarded(deployed) -> Guard:
    counted = Metrics()
    app = http.build(TOY, SETTINGS, counted=counted)
    return Guard(app, token=TOKEN, hosts=frozenset({"127.0.0.1"}), counted=counted.answered)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ([], 401),
        ([(b"authorization", b"Bearer wrong")], 401),
        ([(b"authorization", f"Bearer {TOKEN}x".encode())], 401),
        ([(b"authorization", f"bearer {TOKEN}".encode())], 401),
        ([(b"authorization", f"Bearer {TOKEN}".encode())], 200),
    ],
    ids=["none", "another", "longer", "of another scheme", "the token"],
)
def test_only_who_has_the_token_is_answered(guarded, given, status):
    found, content = asked(guarded, headers=given)
    assert found == status and TOKEN not in json.dumps(content)


def test_a_supervisor_needs_no_token(guarded):
    assert asked(guarded, path="/healthz")[0] == 200


def test_another_host_is_refused(guarded):
    assert asked(guarded, headers=[(b"host", b"elsewhere.example")])[0] == 403


@pytest.mark.parametrize("said", [True, False], ids=["by its length", "in chunks without a length"])
def test_a_body_that_is_too_long_is_refused(guarded, said):
    headers = [(b"authorization", f"Bearer {TOKEN}".encode())]
    headers += [(b"content-length", str(LARGEST + 1).encode())] if said else []
    chunk = b" " * (1 << 20)
    status, content = asked(guarded, path="/v1/score", headers=headers, body=[chunk] * (0 if said else 65))
    assert status == 413 and "at most" in content["error"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"HOST": "0.0.0.0"}, "must have a token"),
        ({"PORT": "99999"}, "from 1 to 65535"),
        ({"PORT": "x"}, "from 1 to 65535"),
        ({serve.TOKEN: "short"}, "at least 16 characters"),
    ],
    ids=["another machine without a token", "no port", "no number", "a short token"],
)
def test_what_would_be_unsafe_is_refused_before_anything_listens(home, monkeypatch, variables, said):
    for name in ("HOST", "PORT", serve.TOKEN):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    from types import SimpleNamespace

    with pytest.raises(BadParameters, match=said):
        serve.main(SimpleNamespace(strategy=TOY, settings=SETTINGS))
