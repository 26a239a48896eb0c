"""A canary in the environment turns up nowhere: not in a notebook, page, record, database row or log."""

import json
import logging
import shlex
from urllib import parse

import nbformat
import pytest
import sqlalchemy as sa

from bq import strategies
from bq.core import db, log, params, paths
from bq.core.errors import BQError
from bq.core.namespace import Namespace
from bq.core.secrets import redact
from bq.jobs.run import protocol
from bq.serving import registry
from bq.workbench import notebooks

CANARY = 'cAnArY-7"é\\$-pAsSwOrD'
PLAIN = "canary0plain0password"
QUERY = "canary1in1the1query"  # of the keys that libpq takes from an address's query
URL = f"postgresql+psycopg://quant:{PLAIN}@127.0.0.1:1/none?connect_timeout=1&password={QUERY}&sslpassword={QUERY}-ssl"
CELLS = {
    "a database that cannot be reached": "from bq.core import db\ndb.engine().connect()",
    "an error that quotes the address": "import os\nraise ValueError('no way to ' + os.environ['BQ_DATABASE_URL'])",
    "prints and values": (
        "import os, sys\nprint(os.environ['BROKER_PASSWORD'], file=sys.stderr)\nprint(dict(os.environ))\n"
        "from IPython.display import HTML, display\ndisplay(HTML(os.environ['BROKER_PASSWORD']))\n"
        "raise RuntimeError(os.environ['BROKER_PASSWORD'] + os.environ['NOTIFY_CMD'])"
    ),
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BQ_DATABASE_URL", URL)
    monkeypatch.setenv("BROKER_PASSWORD", CANARY)
    monkeypatch.setenv("NOTIFY_CMD", f"true --url https://hooks.example/{PLAIN}")
    monkeypatch.setattr(db, "BUSY_SECONDS", 0)
    monkeypatch.setattr(paths, "notebooks", lambda: tmp_path)
    return tmp_path / "home"


def write_notebook(folder, source):
    declared = "strategy = ''  # name; x\nparams = ''  # file; x\nrun_dir = ''  # folder; x"
    cells = [nbformat.v4.new_code_cell(declared, metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(source)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "01_x.ipynb")


def leaks(text: str) -> list[str]:
    forms = {CANARY, json.dumps(CANARY)[1:-1], json.dumps(CANARY, ensure_ascii=False)[1:-1], "cAnArY", PLAIN, QUERY}
    return [form for form in forms if form in text]


@pytest.mark.parametrize("source", CELLS.values(), ids=[name.replace(" ", "-") for name in CELLS])
def test_a_run_that_fails_leaves_no_secret_anywhere(home, monkeypatch, capfd, source):
    write_notebook(home.parent, source)
    settings = params.load(paths.parameters("butterfly"), strategies.get("butterfly").settings)
    monkeypatch.setattr(log.log, "handlers", [])
    log.configure()
    run = protocol.Run(settings, job="retrain")
    with pytest.raises(BQError) as caught:
        protocol.perform(run, lambda under_way: under_way.notebook("01_x"))
    written = [path for path in home.rglob("*") if path.is_file()]
    assert {"run.json", "report.html", "01_x.ipynb", "parameters.yaml"} <= {path.name for path in written}
    for path in written:
        assert not leaks(path.read_bytes().decode("utf-8", "replace")), path
    shown = capfd.readouterr()
    assert "failed" in shown.err
    assert not leaks(shown.out + shown.err + str(caught.value))


def test_no_row_of_a_database_holds_a_secret(home, tmp_path, monkeypatch):
    monkeypatch.delenv("BQ_DATABASE_URL")  # SQLite; the other canaries stay
    registry.deploy(
        Namespace.parse("butterfly"), registry.Artefact(b"graph", {"strategy": "butterfly"}, {}), reason="better"
    )
    with db.engine().connect() as connection:
        rows = [row for table in db.metadata.sorted_tables for row in connection.execute(sa.select(table)).all()]
    assert rows and not leaks(repr(rows))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"bq.db", "champion.json"} <= {path.name for path in written}
    assert not [path for path in written if leaks(path.read_bytes().decode("latin-1"))]


def test_a_database_that_cannot_be_reached_is_named_without_its_password(home):
    with pytest.raises(BQError) as caught:
        db.engine()
    assert "127.0.0.1" in str(caught.value) and not leaks(str(caught.value))


def test_parameters_have_no_place_for_a_secret(home):
    """What a notebook is given is what papermill writes into it: names of files, nothing of the environment."""
    settings = params.load(paths.parameters("butterfly"), strategies.get("butterfly").settings)
    assert not leaks(params.to_yaml(settings.model_dump()))
    words = ("password", "secret", "token", "url", "credential", "account")
    names = json.dumps(settings.model_json_schema()).lower()
    assert not [word for word in words if f'"{word}' in names]


def test_the_log_blots_out_secrets(home, capsys, monkeypatch):
    monkeypatch.setattr(log.log, "handlers", [])
    log.configure()
    logging.getLogger("bq").warning("it said %s and %s", CANARY, URL)
    said = capsys.readouterr().err
    assert "it said •••" in said and not leaks(said)


@pytest.mark.parametrize("secret", ["pass word!", "p%40ss/w", "ünïcödé-x", "a'b\"c\\d", "x" * 200], ids=ascii)
def test_a_secret_is_found_in_text_and_in_json_and_nothing_else_changes(monkeypatch, secret):
    monkeypatch.setenv("SOME_API_KEY", secret)
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    text = json.dumps({"a": secret, "b": "kept"}) + secret + json.dumps(secret, ensure_ascii=False)
    assert secret not in redact(text) and redact(text).count("•••") == 3
    assert json.loads(redact(json.dumps({"a": secret, "b": "kept"}))) == {"a": "•••", "b": "kept"}


@pytest.mark.parametrize("written", ["hunter2secret", "hunter2%20secret", "hunter2+se%2Bcret"])
@pytest.mark.parametrize("key", ["password", "sslpassword", "PassWord", "pass%77ord"])
def test_a_password_in_an_address_s_query_is_a_secret_as_written_and_as_meant(monkeypatch, key, written):
    monkeypatch.setenv("BQ_DATABASE_URL", f"postgresql+psycopg://u@h/x?connect_timeout=1&{key}={written}")
    meant = parse.parse_qs(f"k={written}")["k"][0]
    said = redact(f"no way to postgresql+psycopg://u@h/x?connect_timeout=1&{key}={written} by {meant!r}")
    assert said == f"no way to postgresql+psycopg://u@h/x?connect_timeout=1&{key}=••• by '•••'"


def test_short_values_and_broken_commands_do_no_harm(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "a")
    monkeypatch.setenv("NOTIFY_CMD", "echo 'unclosed")
    monkeypatch.setenv("BQ_DATABASE_URL", "postgresql://[broken")
    assert redact("a banana") == "a banana"
    with pytest.raises(ValueError, match="closing"):
        shlex.split("echo 'unclosed")


def test_kernels_talk_through_files_of_the_user_and_no_port(home, monkeypatch):
    seen = {}
    monkeypatch.setattr(notebooks.papermill, "execute_notebook", lambda *_, **options: seen.update(options))
    limits = notebooks._Limits(1, 1, 1)
    notebooks._run(home, home, parameters={}, replies={}, limits=limits)
    manager = seen["config"]["KernelManager"]
    assert manager["transport"] == "ipc" and "/bq-" in manager["ip"]
