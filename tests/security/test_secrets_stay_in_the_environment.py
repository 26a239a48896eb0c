"""A canary in the environment turns up nowhere: not in a notebook, page, record, database row or log."""

import base64
import gzip
import hashlib
import html
import json
import logging
import os
import re
import shlex
import sys
from pathlib import Path
from urllib import parse

import markupsafe
import nbformat
import pytest
import sqlalchemy as sa
from plotly.graph_objects import Figure

from bq import strategies
from bq.core import db, files, log, params, paths
from bq.core.errors import BQError
from bq.core.namespace import Namespace
from bq.core.secrets import redact
from bq.jobs.run import notify, protocol
from bq.serving import registry
from bq.workbench import notebooks, page, screen
from tests import stored

ROOT = Path(__file__).resolve().parents[2]
CANARY = 'cAnArY-7"é\\$-pAsSwOrD'
PLAIN = "canary0plain0password"
QUERY = "canary1in1the1query"  # of the keys that libpq takes from an address's query
OTHERS = {  # variables that no list of names would hold
    "POLYGON_KEY": "polygon0c4n4ry0key",
    "DB_PWD": "pwd/c4n4ry+x=1 <&>",
    "IB_PASS": "ib-c4n4ry'pass",
    "HTTPS_PROXY": "http://me:proxy0c4n4ry0pass@127.0.0.1:9",
    "FEED": "https://x.example/?apikey=feed0c4n4ry0key",
    "MINE": "named-by-bq-c4n4ry",
}
SECRETS = [*list(OTHERS.values())[:3], "proxy0c4n4ry0pass", "feed0c4n4ry0key", OTHERS["MINE"]]
URL = f"postgresql+psycopg://quant:{PLAIN}@127.0.0.1:1/none?connect_timeout=1&password={QUERY}&sslpassword={QUERY}-ssl"
CELLS = {
    "a database that cannot be reached": "from bq.core import db\ndb.engine().connect()",
    "an error that quotes the address": "import os\nraise ValueError('no way to ' + os.environ['BQ_DATABASE_URL'])",
    "prints and values": (
        "import os, sys\nprint(os.environ['BROKER_PASSWORD'], file=sys.stderr)\nprint(dict(os.environ))\n"
        "from IPython.display import HTML, display\ndisplay(HTML(os.environ['BROKER_PASSWORD']))\n"
        "raise RuntimeError(os.environ['BROKER_PASSWORD'] + os.environ['NOTIFY_CMD'])"
    ),
    "other forms": (
        "import base64, html, json, os, sys\nfrom urllib.parse import quote, quote_plus\n"
        "for name in ('POLYGON_KEY', 'DB_PWD', 'IB_PASS', 'HTTPS_PROXY', 'FEED', 'MINE'):\n"
        "    value = os.environ[name]\n"
        "    print(value, quote(value), quote_plus(value), html.escape(value), json.dumps(json.dumps(value)))\n"
        "    print(base64.b64encode(f'user:{value}'.encode()).decode(), base64.b64encode(value.encode()).decode())\n"
        "raise RuntimeError(os.environ['DB_PWD'] + os.environ['HTTPS_PROXY'])"
    ),
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BQ_DATABASE_URL", URL)
    monkeypatch.setenv("BROKER_PASSWORD", CANARY)
    monkeypatch.setenv("NOTIFY_CMD", f"true --url https://hooks.example/{PLAIN}")
    monkeypatch.setenv("BQ_SECRET_NAMES", "MINE, NOT_SET")
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)
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
    for secret in SECRETS:
        forms |= {secret, parse.quote(secret), parse.quote_plus(secret), html.escape(secret), json.dumps(secret)[1:-1]}
        forms |= {base64.b64encode(secret.encode()).decode().rstrip("="), "c4n4ry"}
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
    registry.deploy(Namespace.parse("butterfly"), stored.artefact(), reason="better")
    tables = sa.MetaData()
    with db.engine().connect() as connection:
        tables.reflect(connection)
        rows = [row for table in tables.sorted_tables for row in connection.execute(sa.select(table)).all()]
    assert rows and not leaks(repr(rows))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"bq.db", "champion.json"} <= {path.name for path in written}
    assert not [path for path in written if leaks(path.read_bytes().decode("latin-1"))]


def test_a_database_that_cannot_be_reached_is_named_without_its_password(home):
    with pytest.raises(BQError) as caught:
        db.engine()
    assert "127.0.0.1" in str(caught.value) and not leaks(str(caught.value))


def test_parameters_have_no_place_for_a_secret(home):
    """What a notebook is given is what papermill writes into it: names of files, nothing of the environment.

    The number of a paper account opens nothing.
    """
    settings = params.load(paths.parameters("butterfly"), strategies.get("butterfly").settings)
    assert not leaks(params.to_yaml(settings.model_dump()))
    words = ("password", "secret", "token", "url", "credential")
    names = json.dumps(settings.model_json_schema()).lower()
    assert not [word for word in words if f'"{word}' in names]


def test_the_log_redacts_secrets(home, capsys, monkeypatch):
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


SECRET_NAMES = re.findall(
    r"\w+",
    """POLYGON_KEY DB_PWD IB_PASS IBKR_PASSPHRASE aws_secret_access_key GITHUB_TOKEN authToken SMTP_AUTH SESSION_COOKIE
    GOOGLE_CREDENTIALS PGPASSWORD MYSQL_PASSWD SENTRY_DSN apikey X_API_KEYS DBPASS VAULT_PW""",
)
OTHER_NAMES = re.findall(
    r"\w+",
    """MONKEY KEYBOARD_LAYOUT AUTHOR GIT_AUTHOR_NAME TOKENIZERS_PARALLELISM BYPASS COMPASS_URL PWD OLDPWD KEYMAP
    BQ_SECRET_NAMES PASSENGERS XAUTHORITY DESKTOP_SESSION""",
)


@pytest.fixture
def bare(monkeypatch):
    """An environment with next to nothing in it."""
    for name in list(os.environ):
        if name not in ("PATH", "HOME"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_variable_that_is_named_like_a_secret_is_one(bare, name):
    bare.setenv(name, "v4lue-of-it")
    assert redact("it is v4lue-of-it.") == "it is •••."


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_a_variable_of_another_name_is_none(bare, name):
    bare.setenv(name, "v4lue-of-it")
    assert redact("it is v4lue-of-it.") == "it is v4lue-of-it."


def test_more_names_can_be_given(bare):
    bare.setenv("MONKEY", "abc")
    bare.setenv("BQ_SECRET_NAMES", "ABSENT,MONKEY")
    assert redact("abc, abcd and x=abc") == "•••, abcd and x=•••"


@pytest.mark.parametrize("value", ["true", "12345", "enabled", "postgres", "butterfly", "/", str(ROOT), "~", "./"])
def test_a_value_that_is_written_everywhere_is_no_secret(bare, value):
    bare.setenv("SOME_KEY", value)
    assert redact(f"this {value} stays") == f"this {value} stays"


def test_where_a_secret_is_kept_is_no_secret(bare):
    bare.setenv("SSH_AUTH_SOCK", "/gone/agent.12345")
    bare.setenv("DB_PASSWORD", "/looks/like+a/path9=")
    assert redact("/gone/agent.12345 /looks/like+a/path9=") == "/gone/agent.12345 •••"


def test_a_word_or_number_is_redacted_where_it_stands_alone(bare):
    bare.setenv("DB_PASSWORD", "123456")
    bare.setenv("IB_PASS", "hunter")
    text = "123456 hunter 0123456f hunters user:hunter@h"
    assert redact(text) == "••• ••• 0123456f hunters user:•••@h"


ENCODERS = {
    "plain": str,
    "printed": repr,
    "quote": parse.quote,
    "quote-all": lambda text: parse.quote(text, safe=""),
    "quote-lower": lambda text: parse.quote(text).lower() if text.islower() else parse.quote(text),
    "quote-plus": parse.quote_plus,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64-url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64-bare": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "json": json.dumps,
    "json-ascii": lambda text: json.dumps(text, ensure_ascii=False),
    "html": html.escape,
    "jinja": lambda text: str(markupsafe.escape(text)),
    "html-in-json": lambda text: json.dumps(html.escape(text)),
    "figure": lambda text: json.dumps(text).replace("<", "\\u003c"),
}


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("secret", ["pa55/w+rd=<&'\"x", "p%40ss wörd 9", "tok3n~._-tok3n", "abc?>~\xff9"], ids=ascii)
def test_a_secret_is_found_however_it_is_written(bare, secret, encode):
    bare.setenv("SOME_KEY", secret)
    written = encode(secret)
    said = redact(f"before {written} after")
    assert written.strip("\"'") not in said and secret not in said
    assert said.startswith("before ") and said.endswith(" after") and "•••" in said


@pytest.mark.parametrize("user", ["", "u", "us", "use"])
def test_a_secret_within_base64_is_found_wherever_it_begins(bare, user):
    bare.setenv("SOME_KEY", "s3cret-of-basic-auth")
    written = base64.b64encode(f"{user}:s3cret-of-basic-auth:x".encode()).decode()
    assert "•••" in redact(f"Authorization: Basic {written}")


SHAPED = {
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "github": "ghp_" + "a1B2" * 9,
    "github-fine": "github_pat_" + "a1B2_" * 8,
    "gitlab": "glpat-abcdEFGH1234-xyzwv99",
    "slack": "xoxb-1234567890-abcdefGHIJ",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "google": "AIza" + "a1B2_" * 7,
    "openai": "sk-proj-" + "a1B2" * 9,
    "stripe": "sk_live_" + "a1B2" * 6,
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc\n-----END RSA PRIVATE KEY-----",
}


@pytest.mark.parametrize("secret", SHAPED.values(), ids=SHAPED)
def test_a_key_of_a_known_format_is_found_without_any_variable(bare, secret):
    assert redact(f"key={secret};") == "key=•••;"
    assert json.loads(redact(json.dumps({"a": secret}))) == {"a": "•••"}


def test_a_password_in_any_address_is_found(bare):
    said = redact("no way through http://me:pw1@proxy:8080/x to https://hooks.slack.com/services/T0/B0/xyz")
    assert said == "no way through http://me:•••@proxy:8080/x to https://hooks.slack.com/•••"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+psycopg://user:password@host/name",
        "http://127.0.0.1:8888/lab and me@example.com: a:b@c",
        'class="sk-estimator-doc-link-sk-toggleable__content-sk-fitted" task-1 risk-free-rate-of-the-whole-period-2019',
        "eyJ.eyJ.x and AKIA and xox",
    ],
    ids=["example", "addresses", "names", "beginnings"],
)
def test_what_only_looks_like_it_stays(bare, text):
    assert redact(text) == text


def test_a_large_text_is_treated_as_a_small_one(bare):
    bare.setenv("SOME_KEY", "s3cret-é-value")
    text = f"\ud800 s3cret-é-value AKIAIOSFODNN7EXAMPLE {'x' * 10} "
    assert redact(text * 5000) == redact(text) * 5000
    assert redact(text[2:] * 5000) == redact(text[2:]) * 5000


def test_numbers_of_json_stay_numbers_and_the_log_says_how_many_places(bare, tmp_path, caplog):
    bare.setenv("BROKER_PIN", "1234567")
    bare.setattr(log.log, "propagate", True)
    files.write_json(tmp_path / "a.json", {"seed": 1234567, "said": "PIN 1234567", "more": ["1234567", 1.5]})
    assert files.read_json(tmp_path / "a.json") == {"seed": 1234567, "said": "PIN •••", "more": ["•••", 1.5]}
    assert "a.json: secrets of the environment were redacted in 2 places" in caplog.text
    assert "1234567" not in caplog.text


def test_a_page_keeps_the_scripts_of_its_policy(bare, tmp_path):
    bare.setenv("SOME_KEY", "scatter3d")
    bare.setenv("OTHER_KEY", "plotly")
    drawn = Figure(layout={"title": "scatter3d"})
    page.write(tmp_path / "a.html", title="a scatter3d by plotly", source="real", parts=[("plotly", [drawn])])
    text = (tmp_path / "a.html").read_text()
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(hashes) == 1 and all(f"sha256-{code}" in text for code in hashes)
    assert "a ••• by •••" in text
    packed = re.search('<script type="text/plain">(.*?)</script>', text, re.S)[1]
    assert "plotly.js v" in gzip.decompress(base64.b64decode(packed)).decode()[:200]


def test_a_command_a_screen_and_a_row_hear_no_secret(bare, tmp_path, capsys):
    bare.setenv("BQ_HOME", str(tmp_path))
    bare.setenv("IB_PASS", "s3cret-value")
    heard = tmp_path / "heard"
    script = "import os, sys; open(sys.argv[1], 'w').write(sys.stdin.read() + os.environ['BQ_NOTIFY_HEADLINE'])"
    bare.setenv("NOTIFY_CMD", shlex.join([sys.executable, "-c", script, str(heard)]))
    notify.send("failed", run_id="r", headline="it said s3cret-value", report=tmp_path)
    screen.show("it said s3cret-value")
    registry.deploy(
        Namespace.parse("butterfly"), stored.artefact(card={"verdict": "s3cret-value"}), reason="s3cret-value"
    )
    said = heard.read_text() + capsys.readouterr().out + repr(registry.history(Namespace.parse("butterfly")))
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert said.count("•••") >= 4 and "s3cret-value" not in said
    assert not any(b"s3cret-value" in content for content in written)
    assert registry.champion(Namespace.parse("butterfly")).card.verdict == "•••"


def test_kernels_talk_through_files_of_the_user_and_no_port(home, monkeypatch):
    seen = {}
    monkeypatch.setattr(notebooks.papermill, "execute_notebook", lambda *_, **options: seen.update(options))
    limits = notebooks._Limits(1, 1, 1)
    notebooks._run(home, home, parameters={}, replies={}, limits=limits)
    manager = seen["config"]["KernelManager"]
    assert manager["transport"] == "ipc" and "/bq-" in manager["ip"]
