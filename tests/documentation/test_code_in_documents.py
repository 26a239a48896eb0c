"""Every command, parameter and line of Python that a document shows holds, and those marked are executed."""

import ast
import importlib
import itertools
import json
import os
import re
import types
from pathlib import Path

import pytest

import bq
from bq import __main__ as program
from bq import strategies
from bq.core import params, paths
from bq.core.errors import BadParameters
from bq.core.section import Section, section_of
from bq.jobs import request
from tests.documentation import blocks
from tests.documentation.blocks import ROOT, Block, Command

LANGUAGES = {"sh", "python", "yaml", "sql", "ini", "csv", "text"}
BESIDE = {"export", "systemctl"}  # commands that are not ours
ALERTS = {"trading.not_reconciled", "trading.odd_legs", "trading.overnight"}  # their kinds look like parameters
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
VARIABLES = set(re.search(r"^VARIABLES := ((?:.*\\\n)*.*)", MAKEFILE, re.M)[1].replace("\\\n", "").split())
BLOCKS = list(blocks.blocks())
CELLS = json.loads((ROOT / "notebooks" / "00_start_here.ipynb").read_text())["cells"]
CODE = "\n".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code")
START = Block(ROOT / "notebooks" / "00_start_here.ipynb", "python", CODE, runs=True)
COMMANDS = {(one.targets, *one.variables.items()): one for one in blocks.commands()}
SMALL = """
extends: {shipped}/simulated/{name}.yaml
market: {{simulation: {{kind: {kind}, symbols: 4, sessions: 1100}}}}
learning: {{model: elastic_net, compare: [], folds: 2, test_days: 200, newest_days: 90}}
policy: {{k: 2}}
gate: {{draws: 1000}}
"""
BARS = "Date,Close\n2020-01-02,300.35\n2020-01-03,297.43\n2020-01-06,299.80\n"


def shipped(folder: Path) -> str:
    """The shipped parameter files, from a folder."""
    return os.path.relpath(ROOT / "parameters", folder)


def those(language: str, *, run: bool = False) -> list[object]:
    found = [one for one in BLOCKS if one.language == language and (one.runs or not run)]
    return [pytest.param(one, id=one.id) for one in found]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """What a user has: bars, and the features of docs/features.md."""
    folder = tmp_path_factory.mktemp("home")
    for path, text in {"bars/AAPL.csv": BARS, "features/swings.py": block("docs/features.md", "python").text}.items():
        target = folder / "data" / "raw" / path
        target.parent.mkdir(parents=True)
        target.write_text(text)
    return folder


@pytest.fixture
def at_home(home, monkeypatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("BQ_HOME", str(home))
    for name in VARIABLES | {"BQ_DATABASE_URL"}:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def block(document: str, language: str) -> Block:
    return next(one for one in BLOCKS if one.document == ROOT / document and one.language == language)


def test_every_block_names_its_language_so_that_it_is_parsed():
    assert [one.id for one in BLOCKS if one.language not in LANGUAGES] == []
    assert [one.id for one in BLOCKS if one.language == "text" and re.search(r"^(make|import) ", one.text, re.M)] == []


@pytest.mark.parametrize("one", those("sh"))
def test_every_line_of_a_block_of_commands_is_a_command(one: Block):
    lines = [line for line in one.text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert {blocks.words(line)[0] for line in lines} <= {"make", *BESIDE}


def test_every_command_names_targets_and_variables_of_the_makefile():
    assert len(COMMANDS) > 60
    assert {one.where for one in COMMANDS.values() if not TARGETS.issuperset(one.targets)} == set()
    assert {one.where for one in COMMANDS.values() if not VARIABLES.issuperset(one.variables)} == set()


@pytest.mark.parametrize("one", [pytest.param(one, id=one.where) for one in COMMANDS.values() if one.variables])
def test_the_variables_of_every_command_are_taken(one: Command, at_home):
    """As the target itself reads them; a file or run of the reader's own stands for the shipped file, or any run."""
    for name, value in one.variables.items():
        at_home.setenv(name, value)
    if "PARAMS" in one.variables and not (ROOT / one.variables["PARAMS"]).is_file():
        assert one.variables["PARAMS"].startswith(("outputs/<run>/", "parameters/m"))
        at_home.delenv("PARAMS")
    at_home.chdir(ROOT)
    for target in one.targets:
        request.read(target)


def test_settings_between_backticks_are_taken_by_a_strategy(at_home):
    given = {text[5:-1]: document for document, text in blocks.spans() if re.fullmatch(r'SET="[^"]+"', text)}
    assert len(given) >= 3
    assert {str(document): text for text, document in given.items() if not any(taken(text))} == {}


def taken(text: str) -> list[str]:
    """The strategies that take an override."""
    found = []
    for name, file in itertools.product(strategies.MODULES, ("", "parameters/simulated/{}.yaml")):
        try:
            bq.params(name, file.format(name), overrides=text)
        except BadParameters:
            continue
        found.append(name)
    return found


def test_parameters_between_backticks_exist():
    models = [strategies.get(name).settings for name in strategies.MODULES]
    sections = {name for model in models for name in model.model_fields if section_of(model, name)}
    files = ("py", "md", "csv", "yaml", "json", "parquet", "html", "db")
    named = [
        (str(document.relative_to(ROOT)), found[0])
        for document, text in blocks.spans()
        if (found := re.match(r"[a-z_]+(\.[a-z_]+)+(?=$|[:=]| )", text))
        if found[0].split(".")[0] in sections and found[0].rpartition(".")[2] not in files and found[0] not in ALERTS
    ]
    assert len(named) > 200
    assert {one for one in named if not any(has(model, one[1].split(".")) for model in models)} == set()


def has(model: type[Section], names: list[str]) -> bool:
    section = section_of(model, names[0])
    if len(names) == 1:
        return names[0] in model.model_fields
    return has(section, names[1:]) if section else names[0] in model.model_fields and names[0] == "hyperparameters"


@pytest.mark.parametrize("one", those("yaml"))
def test_a_parameter_file_is_taken(one: Block, at_home, tmp_path):
    """Fragments are taken as files that extend the butterfly's."""
    text = one.text if one.text.startswith("extends:") else f"extends: butterfly.yaml\n{one.text}"
    file = tmp_path / "own.yaml"
    file.write_text(re.sub(r"^extends: ", f"extends: {shipped(tmp_path)}/", text))
    settings = params.load(file, strategies.get("butterfly").settings)
    strategies.get("butterfly").features(settings)


@pytest.mark.parametrize("one", those("python"))
def test_python_compiles_and_names_what_exists(one: Block):
    tree = ast.parse(one.text)
    compile(tree, one.id, "exec")
    modules: dict[str, object] = {"bq": bq}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("bq", "tests"):
            for alias in node.names:
                modules[alias.name] = found(importlib.import_module(node.module), node.module, alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (chain := names(node)) and chain[0] in modules:
            value = modules[chain[0]]
            for name in chain[1:]:
                if isinstance(value, types.ModuleType):
                    value = getattr(value, name)


def found(module: types.ModuleType, of: str, name: str) -> object:
    return getattr(module, name) if hasattr(module, name) else importlib.import_module(f"{of}.{name}")


def names(node: ast.AST) -> list[str]:
    """`bq.tell.score` as its names; of what is called or computed, none."""
    if isinstance(node, ast.Name):
        return [node.id]
    inner = names(node.value) if isinstance(node, ast.Attribute) else []
    return [*inner, node.attr] if inner else []


@pytest.mark.parametrize("one", [*those("python", run=True), pytest.param(START, id="notebooks/00_start_here")])
def test_marked_python_runs(one: Block, at_home, home):
    """On a small simulated market in the place of the shipped parameters."""
    for name, kind in {"butterfly": "pinned", "breakout": "breakouts"}.items():
        (home / f"{name}.yaml").write_text(SMALL.format(shipped=shipped(home), name=name, kind=kind))
    at_home.setattr(paths, "parameters", lambda strategy: home / f"{strategy}.yaml")
    at_home.chdir(ROOT)
    exec(compile(one.text, one.id, "exec"), {})


@pytest.mark.parametrize("one", those("sh", run=True))
def test_marked_commands_end_well(one: Block, at_home, capsys):
    at_home.chdir(ROOT)
    for line in one.text.splitlines():
        for command in blocks.command(line, one.id):
            with pytest.MonkeyPatch.context() as patch:
                for name, value in command.variables.items():
                    patch.setenv(name, value)
                assert [program.main([target]) for target in command.targets] == [0], capsys.readouterr().err
    assert capsys.readouterr().out


def test_some_blocks_are_executed():
    assert {one.language for one in BLOCKS if one.runs} == {"sh", "python"}
