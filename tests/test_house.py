"""What the repository as a whole promises: who imports whom, notebooks, environment, Makefile, README."""

import ast
import json
import os
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from tests.floors import FLOORS, imported

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "bq"

PRESENTATION = {"papermill", "nbconvert", "IPython", "plotly", "nbformat", "jupyter_client"}
COMPUTE = set(FLOORS) - {"workbench", "jobs"}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


GENERIC = {
    "learning",
    "runs",
    "serving",
    "trading",
    "tuning",
    "workbench",
    "jobs",
}  # know strategies by their contract alone
OF_ONE_STRATEGY = re.compile(
    r"\b(butterfly|breakout|forecast|ROI|P\(R|R-multiple|exit_stale_sessions|p_Success)\b|(?<!onnx)\.ml\b|\bml\.", re.I
)


def test_every_folder_has_a_floor():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_floors_above(path):
    mine = FLOORS.index(path.relative_to(PACKAGE).parts[0])
    used = {name.split(".")[1] for name in imported(path) if name.startswith("bq.")}
    assert {name for name in used & set(FLOORS) if FLOORS.index(name) > mine} == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_compute_folders_know_nothing_of_presentation(path):
    if path.relative_to(PACKAGE).parts[0] in COMPUTE:
        assert {name.split(".")[0] for name in imported(path)} & PRESENTATION == set()


BY_PATH = {
    f"{verb}_{kind}" for verb in ("read", "scan", "write", "sink") for kind in ("parquet", "csv", "ipc", "ndjson")
}
IN_MEMORY = {"write_csv", "read_ipc", "write_ipc"}  # as they are used here: no argument is a path


def test_tables_are_read_and_written_by_core_files_alone():
    """polars takes a path for a pattern: a home named `x[1]` would read the tables of `x1`."""
    sources = {path: path.read_text() for path in [*PACKAGE.rglob("*.py"), *(ROOT / "tests/bench").rglob("*.py")]}
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text())["cells"]
        code = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        sources[path] = "\n".join(code)
    del sources[PACKAGE / "core" / "files.py"]
    found = [
        f"{path.name}:{node.lineno} {node.attr}"
        for path, source in sources.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in BY_PATH - IN_MEMORY
        if not (isinstance(node.value, ast.Name) and node.value.id == "files")
    ]
    assert found == []


@pytest.mark.parametrize("folder", sorted(GENERIC))
def test_generic_folders_name_no_strategy_and_use_no_words_of_one(folder):
    found = {path: OF_ONE_STRATEGY.findall(path.read_text()) for path in (PACKAGE / folder).rglob("*.py")}
    assert {str(path): names for path, names in found.items() if names} == {}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_stripped_short_and_has_one_parameters_cell(path):
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len(code) <= 25
    assert max(len("".join(cell["source"]).splitlines()) for cell in code) <= 15
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in code) == 1
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert notebook["metadata"]["language_info"]["name"] == "python"
    text = "\n".join("".join(cell["source"]) for cell in code)
    tree = ast.parse(text)
    assert not any(isinstance(node, ast.ClassDef) for node in ast.walk(tree))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert all(node.end_lineno - node.lineno < 5 for node in functions)


def code_of(path: Path) -> list[ast.Module]:
    cells = json.loads(path.read_text())["cells"]
    return [ast.parse("".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_cell_of_a_notebook_ends_in_a_condition(path):
    ends = [cell.body[-1] for cell in code_of(path) if cell.body]
    assert not [ast.unparse(end) for end in ends if isinstance(end, ast.Expr) and isinstance(end.value, ast.IfExp)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_figure_of_a_notebook_comes_with_the_sentence_that_reads_it(path):
    imports = {
        alias.name
        for cell in code_of(path)
        for node in ast.walk(cell)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imports == {"bq", "tell"}  # a figure of another module would stand alone
    text = path.read_text()
    assert "tell.parameters(settings)" in text and "tell.findings(" in text


def test_what_notebooks_tell_is_always_a_sentence_with_or_without_a_figure():
    from bq.workbench import tell
    from bq.workbench.exhibits import Exhibits
    from bq.workbench.told import Reading, Told

    kinds = {name: getattr(tell, name).__annotations__["return"] for name in tell.__all__}
    shown = {name: set(typing.get_args(kind) or [kind]) for name, kind in kinds.items()}
    assert {name: kinds for name, kinds in shown.items() if not kinds <= {Told, Reading, str, Exhibits}} == {}


def test_every_verb_shows_how_it_is_used():
    import bq

    verbs = {name: getattr(bq, name).__doc__ for name in bq.__all__ if callable(getattr(bq, name))}
    assert [name for name, text in verbs.items() if not re.search(rf">>> .*\bbq\.{name}\(", text)] == []


def test_parameters_of_notebooks_are_what_papermill_can_infer():
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text())["cells"]
        cell = next(cell for cell in cells if "parameters" in cell["metadata"].get("tags", []))
        for line in "".join(cell["source"]).splitlines():
            assert re.fullmatch(r'\w+ = ("[^"]*"|[\w.]+)  # [^"\'=]+; [^"\'=]+', line), line


def test_the_conda_environment_is_the_lock():
    from ruamel.yaml import YAML

    environment = YAML(typ="safe").load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip == ["-r requirements.lock", "-e ."]
    requires = re.search(r'requires-python = "(.*)"', (ROOT / "pyproject.toml").read_text()).group(1)
    assert f"python{requires}" in environment["dependencies"]


def test_every_dependency_is_locked_with_hashes_and_asked_for_by_name():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=[a-z0-9])", lock)
    pinned = {e.split("==")[0].split("[")[0]: e for e in entries if "==" in e.splitlines()[0]}
    assert all("--hash=sha256:" in entry for entry in pinned.values())
    wanted = [re.split(r"[<>=\[]", name)[0] for name in project["dependencies"]]
    assert {re.sub(r"[._]", "-", name.lower()) for name in wanted} <= set(pinned)
    asked = (
        "jupyterlab papermill nbconvert pandas pyarrow polars numpy lightgbm xgboost optuna onnxruntime skl2onnx arch "
        "statsmodels plotly ib_insync"
    )
    assert set(asked.split()) <= set(wanted)
    assert "index-url" not in lock and "://" not in lock


def test_every_target_of_the_makefile_is_in_its_help():
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):", text, re.M)
    assert targets == re.findall(r"^([a-z-]+): .*## \[[a-z ]+(?: \*)?\] ", text, re.M)
    assert sorted(helped("ALL=1")) == sorted(targets)


def helped(*variables: str) -> list[str]:
    """The targets that `make` lists."""
    lines = subprocess.run(["make", "help", *variables], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  ([a-z-]+) ", lines, re.M)


def test_make_alone_lists_the_ten_targets_of_a_first_day():
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # make may have begun us
    said = subprocess.run(["make"], cwd=ROOT, env=alone, capture_output=True, text=True, check=True).stdout
    assert said.startswith("Butter")
    assert len(helped()) == 10 and {"retrain", "check-data", "lab", "scan", "explain"} < set(helped())


HEAVY = {"arch", "lightgbm", "numba", "onnxruntime", "optuna", "pandas", "plotly", "scipy", "sklearn"}


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import bq", id="import"),
        pytest.param("import bq; bq.params('butterfly')", id="parameters"),
        pytest.param("import bq; bq.champion('butterfly')", id="champion"),
        pytest.param("import bq; bq.runs.table()", id="runs"),
        pytest.param("import bq.jobs.status", id="status"),
    ],
)
def test_what_answers_at_once_loads_no_heavy_library(code):
    told = f"{code}; import sys; print(*sorted({HEAVY!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout == "\n"


def test_a_scan_loads_nothing_that_renders_notebooks():
    """A third of its time went into importing nbconvert and nbformat."""
    heavy = {"nbconvert", "nbformat", "papermill"}
    code = f"import sys, bq.jobs.scan, bq.jobs.trade_paper; print(*{heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_stored_events_know_the_code_of_every_folder_that_computes_them():
    """But for core, which computes nothing, and simulate: the hash of bars knows what it made."""
    from bq.strategies.event_set import BUILDERS

    modules = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] in BUILDERS]
    used = {name.split(".")[1] for path in modules for name in imported(path) if name.startswith("bq.")}
    assert used & set(FLOORS) - {"core", "simulate"} == set(BUILDERS)
