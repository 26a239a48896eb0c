"""Nothing that is data (parameters, files, models) is ever run."""

import ast
import json
from pathlib import Path

import nbformat
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bq import strategies
from bq.core import params, paths
from bq.core.errors import BadData, BadParameters
from bq.serving import registry
from bq.serving.session import Session
from bq.workbench import notebooks
from tests import stored

ROOT = Path(__file__).resolve().parents[2]
LOADERS = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "joblib.load",
    "yaml",
    "subprocess.getoutput",
}
CALLS = {"eval", "exec", "compile", "__import__", "read_pickle", "allow_pickle", "unsafe_load", "loads_pickle"}
UNPICKLES = ROOT / "bq/core/cluster.py"
SETTINGS = strategies.get("butterfly").settings


def sources():
    for path in sorted(set((ROOT / "bq").rglob("*.py")) - {UNPICKLES}):  # see below
        yield pytest.param(path.read_text(), id=str(path.relative_to(ROOT)))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = [cell["source"] for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        yield pytest.param("\n".join("".join(source) for source in cells), id=str(path.relative_to(ROOT)))


def dangers(text: str) -> set[str]:
    """Names by which a text could run data: modules that unpickle, eval and its kin, shells."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found |= (
                {name}
                if name in LOADERS | CALLS | {"os.system", "os.popen"}
                else {name.rpartition(".")[2]} & CALLS - {"compile"}
            )
            found |= {keyword.arg for keyword in node.keywords if keyword.arg in ("shell", "allow_pickle")}
    return {name for name in found if name in LOADERS | CALLS | {"os.system", "os.popen", "shell", "allow_pickle"}}


@pytest.mark.parametrize("text", sources())
def test_nothing_unpickles_evaluates_or_calls_a_shell(text):
    assert dangers(text) == set()


def test_only_what_a_dask_cluster_sends_is_unpickled():
    """As Dask does with everything that it is sent: docs/cluster.md says who may reach one. No file is unpickled."""
    text = UNPICKLES.read_text()
    assert dangers(text) == {"cloudpickle"}
    assert "open(" not in text
    assert "read_bytes" not in text


def test_a_bench_runs_again_only_source_of_this_package():
    """A bench executes a kernel's own source without the compiler; it reads no other text and unpickles nothing."""
    found = {path.name: dangers(path.read_text()) for path in (ROOT / "tests/bench").glob("*.py")}
    assert set().union(*found.values()) <= {"exec", "compile"}
    sources = [(ROOT / "tests/bench" / name).read_text() for name, names in found.items() if names]
    assert all("inspect.getsource(" in text for text in sources)


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from joblib import load", "eval('1')", "pd.read_pickle(p)", "run(x, shell=True)", "import yaml"],
    ids=str,
)
def test_the_search_for_it_finds_it(text):
    assert dangers(text)


# ---- parameters


@pytest.fixture
def load(tmp_path):
    def loading(text, overrides=""):
        (tmp_path / "p.yaml").write_text(text)
        return params.load(tmp_path / "p.yaml", SETTINGS, overrides=overrides)

    return loading


TAGS = {
    "apply": "strategy: !!python/object/apply:os.system ['touch pwned']",
    "new": "strategy: !!python/object/new:os.system ['touch pwned']",
    "name": "strategy: !!python/name:os.system",
    "module": "strategy: !!python/module:os",
    "tuple": "strategy: !!python/tuple [a]",
    "own": "strategy: !secret x",
    "in-set": "SET",
}


@pytest.mark.parametrize("text", TAGS.values(), ids=TAGS)
def test_a_yaml_tag_constructs_nothing(load, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    overrides = "strategy=!!python/object/apply:os.getcwd" if text == "SET" else ""
    with pytest.raises(BadParameters, match="could not be read"):
        load("strategy: butterfly" if text == "SET" else text, overrides)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "place", ["market: *z", "market: {symbols: *z}", "analysis: {arima_orders: *z}", "x: *z"], ids=str
)
def test_an_anchor_bomb_is_refused_in_a_short_sentence(load, place):
    """Nine anchors, each nine times the one before: 9⁹ texts if anything ever unfolded them."""
    lines = ["a: &a ['lol', 'lol']"]
    for before, name in zip("abcdefgh", "bcdefghz", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    with pytest.raises(BadParameters) as caught:
        load("\n".join([*lines, place]))
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize(
    "text", ["strategy: butterfly\nstrategy: x", "market: {start: null, start: 2010-01-01}"], ids=str
)
def test_a_duplicate_key_is_refused(load, text):
    with pytest.raises(BadParameters, match="duplicate key"):
        load(text)


def test_a_strategy_is_one_of_the_known_names_and_no_folder(load):
    shipped = paths.parameters("butterfly").read_text()
    for name in ("../../x", "/tmp/x", "butterfly/../x", ""):
        with pytest.raises(BadParameters, match="`strategy` must be"):
            load(shipped, f"strategy={name}")


NAMES = [
    "x=1\nopen('pwned','w')\nfolds",
    "folds;open('pwned','w')",
    "folds\n",
    "fo lds",
    "__import__('os')",
    "folds#",
    "",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_the_name_of_a_notebook_parameter_is_never_run(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    cell = nbformat.v4.new_code_cell("folds = 6  # count; test blocks", metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "in.ipynb")
    with pytest.raises(BadParameters, match="is not a parameter of the notebook"):
        notebooks.execute(
            tmp_path / "in.ipynb",
            tmp_path / "out.ipynb",
            parameters={name: 1},
            run_dir=tmp_path,
            cell_timeout_seconds=60,
            deadline_seconds=60,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["in.ipynb"]


# ---- models


def graph(*, where: str, location: str = "../../../secret.bin") -> bytes:
    """A small graph; `where` says which of its tensors lies in another file."""
    outside = numpy_helper.from_array(np.ones(4, np.float32), "w")
    if where != "nowhere":
        outside.ClearField("raw_data")
        outside.data_location = TensorProto.EXTERNAL
        outside.external_data.add(key="location", value=location)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y")]
    constant = helper.make_node("Constant", [], ["w"], value=outside)
    add = helper.make_node("Add", ["x", "w"], ["y"])
    nodes, initializers = [add], [outside]
    if where == "attribute":
        nodes, initializers = [constant, add], []
    if where == "subgraph":
        branch = helper.make_graph(
            [constant, helper.make_node("Identity", ["w"], ["b"])],
            "b",
            [],
            [helper.make_tensor_value_info("b", TensorProto.FLOAT, [4])],
        )
        always = helper.make_tensor("t", TensorProto.BOOL, [], [True])
        choose = helper.make_node("If", ["t"], ["y"], then_branch=branch, else_branch=branch)
        nodes, initializers = [choose], [always]
    made = helper.make_graph(nodes, "g", value[:1], value[1:], initializer=initializers)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


@pytest.mark.parametrize("where", ["initializer", "attribute", "subgraph"])
@pytest.mark.parametrize("location", ["/etc/hostname", "../../../secret.bin", "weights.bin"], ids=str)
def test_a_model_whose_tensors_lie_in_another_file_is_refused(where, location):
    with pytest.raises(BadData, match=r"must hold every tensor itself, but 'w' lies in another file"):
        Session(graph(where=where, location=location))


def test_the_same_model_with_its_tensors_inside_is_loaded():
    Session(graph(where="nowhere"))


@pytest.mark.parametrize("content", [b"", b"junk", b"\x80\x04\x95pickle"], ids=repr)
def test_a_file_that_is_no_graph_is_refused(content):
    with pytest.raises(BadData, match="must be an ONNX graph"):
        Session(content)


def test_a_model_is_hashed_before_it_is_parsed(tmp_path, monkeypatch):
    artefact = stored.artefact(graph(where="nowhere"))
    path = registry.store(artefact, tmp_path)
    (path / "model.onnx").write_bytes(graph(where="initializer"))
    monkeypatch.setattr(onnx, "load_from_string", lambda *_: pytest.fail("parsed before its hash was checked"))
    with pytest.raises(BadData, match="must have the hash of its manifest"):
        registry.load(path)
