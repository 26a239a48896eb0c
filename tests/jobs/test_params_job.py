"""`make params` prints what takes effect, and where it comes from."""

import pytest

from bq import strategies
from bq.core import params, paths
from bq.core.errors import BadParameters, Locked
from bq.core.namespace import KEYWORDS, Namespace
from bq.jobs import params as job
from bq.jobs import request
from bq.jobs.run import protocol

VARIABLES = ("STRATEGY", "PARAMS", "SET", "SYMBOLS", "FROM", "TO", "QUICK", "TRIALS", "OBJECTIVE")
SIMULATED = paths.CHECKOUT / "parameters" / "simulated"


@pytest.fixture
def ask(monkeypatch):
    """What is asked for by variables, as the Makefile hands them on."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def asking(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        return request.read()

    return asking


def line(text: str, name: str) -> str:
    (found,) = [own.strip() for own in text.splitlines() if own.strip().startswith(f"{name}:")]
    return " ".join(found.split())


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {
            "STRATEGY": "forecast",
            "SET": "portfolio.sectors.A=NO portfolio.sectors.B='16:00' learning.hyperparameters.lightgbm.num_leaves=9",
        },
        {"PARAMS": SIMULATED / "butterfly_strata.yaml", "QUICK": "1"},
        {"PARAMS": SIMULATED / "forecast.yaml", "STRATEGY": "forecast", "SYMBOLS": "SIMA, SIMX", "FROM": "2012-01-03"},
        {"STRATEGY": "breakout", "SYMBOLS": "NFLX", "TO": "2012-12-31", "SET": "name=us learning.regimes.states=4"},
    ],
    ids=["default", "mappings", "extended-twice", "symbols", "named"],
)
def test_what_is_printed_is_a_parameter_file_that_gives_the_same_settings(ask, tmp_path, capsys, variables):
    asked = ask(**variables)
    job.main(asked)
    copy = tmp_path / "copy.yaml"
    copy.write_text(capsys.readouterr().out)
    assert params.load(copy, asked.strategy.settings) == asked.settings


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("BRK B", ["BRK B"]),
        ("000001", ["000001"]),
        ("TRUE,NULL,NO", ["TRUE", "NULL", "NO"]),
        ("1E5,.5,0x1F,2020-01-01", ["1E5", ".5", "0x1F", "2020-01-01"]),
        (" AAPL , BRK B,KO", ["AAPL", "BRK B", "KO"]),
        ('"A,B", C', ["A,B", "C"]),
        ("[x],{y},a: b,a=b c=d", ["[x]", "{y}", "a: b", "a=b c=d"]),
    ],
    ids=str,
)
def test_symbols_are_what_stands_between_commas(ask, tmp_path, given, expected):
    asked = ask(SYMBOLS=given)
    assert asked.settings.market.symbols == expected
    copy = tmp_path / "copy.yaml"
    copy.write_text(job.text(asked))
    assert params.load(copy, asked.strategy.settings).market.symbols == expected


@pytest.mark.parametrize(
    ("given", "says"),
    [('"A', "close the quotes"), ("A,,B", "names with commas between them")],
    ids=["open-quotes", "empty-name"],
)
def test_symbols_that_are_no_names_are_refused_with_the_variable(ask, given, says):
    with pytest.raises(BadParameters, match=f"`SYMBOLS` must .*{says}|`SYMBOLS` must be {says}"):
        ask(SYMBOLS=given)


@pytest.mark.parametrize("variable", ["EVENT", "RUN", "A", "B", "ARCHIVE"])
@pytest.mark.parametrize("text", ["1e5", "000001", "TRUE", "a b"])
def test_a_variable_that_names_something_is_text(ask, monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    asked = request.read()
    assert getattr(asked, {"RUN": "run_id"}.get(variable, variable.lower())) == text


def test_each_value_says_where_it_comes_from(ask):
    mine = SIMULATED / "butterfly_strata.yaml"
    said = job.text(
        ask(
            PARAMS=mine,
            SYMBOLS="A,B",
            TO="2020-12-31",
            QUICK="1",
            SET="learning.test_days=365 run.cell_timeout_seconds=60",
        )
    )
    number = mine.read_text().splitlines().index("  features: butterfly_v3") + 1
    expected = {
        "features": f"features: butterfly_v3 # {job.shown(mine)}:{number} (default: butterfly_v2)",
        "every_weeks": "every_weeks: 8 # QUICK (default: 1)",
        "end": "end: 2020-12-31 # TO (default: null)",
        "test_days": "test_days: 365 # SET, as the default",
        "cell_timeout_seconds": "cell_timeout_seconds: 60 # SET (default: 900)",
        "wing": "wing: interval # default",
    }
    for name, wanted in expected.items():
        assert line(said, name) == wanted
    assert "symbols: [A, B]            # SYMBOLS (default: null)" in said
    assert said.startswith(f"# {job.shown(mine)} extends ")


def test_a_strategys_own_file_is_its_defaults(ask):
    said = job.text(ask(STRATEGY="breakout"))
    values = [own.partition(":")[0] for own in said.splitlines() if " # " in own and not own.endswith("# default")]
    assert values == ["strategy"]


def test_a_name_gives_a_universe_models_runs_and_lock_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    files = {"us": "butterfly", "eu": "butterfly", "": "butterfly"}
    found = [_settings(strategy, name).namespace for name, strategy in files.items()]
    assert [str(own) for own in found] == ["butterfly.us", "butterfly.eu", "butterfly"]
    assert len({paths.models(own) for own in found} | {paths.models(own.second) for own in found}) == 6


def test_runs_of_two_names_do_not_wait_for_each_other(tmp_path, monkeypatch):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    us, eu = _settings("butterfly", "us").namespace, _settings("butterfly", "eu").namespace
    plain = _settings("butterfly", "").namespace
    with protocol.lock(us), protocol.lock(eu), protocol.lock(plain), pytest.raises(Locked), protocol.lock(us):
        pass


def test_one_name_under_two_strategies_is_two_universes():
    ours, theirs = _settings("butterfly", "us").namespace, _settings("breakout", "us").namespace
    assert ours != theirs and paths.models(ours) != paths.models(theirs)
    assert Namespace.parse(str(ours)) == ours and Namespace.parse(str(theirs)) == theirs


def test_the_strategys_name_is_no_other_universe():
    assert _settings("butterfly", "butterfly").namespace == _settings("butterfly", "").namespace


@pytest.mark.parametrize("name", ["forecast", *KEYWORDS])
def test_a_name_that_says_another_thing_is_refused(ask, name):
    with pytest.raises(BadParameters, match=f"SET: `name` must not be one of .* but got '{name}'"):
        ask(SET=f"name={name}")


@pytest.mark.parametrize("name", ["US", "my-us", "../x", "a.b", "a__b", "1us", "''"])
def test_a_name_that_no_key_can_hold_is_refused(ask, name):
    with pytest.raises(BadParameters, match="SET: `name` must match pattern"):
        ask(SET=f"name={name}")


def test_what_is_found_for_a_file_of_ones_own(ask, tmp_path):
    mine = tmp_path / "my_us.yaml"
    (tmp_path / "base.yaml").write_text(paths.parameters("butterfly").read_text())
    mine.write_text("extends: base.yaml\nname: my_us\nmarket: {source: files}\n")
    asked = ask(PARAMS=mine)
    assert str(asked.settings.namespace) == "butterfly.my_us"
    assert line(job.text(asked), "start") == f"start: null # {mine}:3 (default: 2006-01-01)"


def _settings(strategy: str, name: str):
    overrides = f"name={name or 'null'}"
    return params.load(paths.parameters(strategy), strategies.get(strategy).settings, overrides=overrides)
