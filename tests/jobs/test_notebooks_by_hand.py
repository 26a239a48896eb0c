"""A notebook that a person runs never deploys: `models/`, the database and `outputs/` stay as they were."""

import nbformat
import polars as pl
import pytest
import sqlalchemy as sa

import bq
from bq import surface
from bq.core import db, paths
from bq.core.namespace import Namespace
from bq.serving import registry
from bq.workbench import notebooks
from tests import stored

SMALL = (
    "market.simulation.symbols=4 market.simulation.sessions=1200 events.first=2012-01-02 learning.test_days=240 "
    "learning.compare=[] gate.draws=1000"
)


def state(home) -> dict:
    """Content and time of every file of models/ and outputs/, and every row of the database."""
    kept = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in home.glob("models/**/*") if path.is_file()}
    tables = sa.MetaData()
    with db.engine().connect() as connection:
        tables.reflect(connection)
        rows = {name: connection.execute(sa.select(table)).all() for name, table in tables.tables.items()}
    looks = {name: rows.pop(name, []) for name in ("looks", "chain_head")}
    return {"models": kept, "rows": rows, "outputs": sorted(home.glob("outputs/**/*")), "looks": looks["looks"]}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with a deployed model and its row in the journal."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    registry.deploy(
        Namespace.parse("butterfly-simulated"),
        stored.artefact(),
        reason="test",
    )
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("name", "turned", "said"),
    [
        pytest.param(
            "01_feature_exploration", {"last": "2014-06-30"}, "The top decile of the rule score", id="explore"
        ),
        pytest.param(
            "02_walk_forward_training",
            {"folds": 2, "top_k": 1},
            "Run by hand: nothing is saved or deployed.",
            id="train",
        ),
    ],
)
def test_a_notebook_by_hand_runs_to_its_end_and_changes_neither_models_nor_rows_but_its_looks(
    name, turned, said, home, tmp_path
):
    before = state(home)
    assert len(before["models"]) == 5 and len(before["rows"]["deployments"]) == 1
    output = tmp_path / "by hand" / "executed.ipynb"
    path = str(paths.CHECKOUT / "parameters/simulated/butterfly.yaml")
    notebooks.execute(
        paths.notebooks() / f"{name}.ipynb",
        output,
        parameters={"params": path, "overrides": SMALL, **turned},
        run_dir=output.parent,
        cell_timeout_seconds=240,
        deadline_seconds=280,
    )
    cells = [cell for cell in nbformat.read(output, as_version=4).cells if cell.cell_type == "code"]
    shown = "".join(
        out.get("text", "") + out.get("data", {}).get("text/plain", "") for cell in cells for out in cell.outputs
    )
    assert said in shown
    figures = [
        cell for cell in cells if any("application/vnd.plotly.v1+json" in out.get("data", {}) for out in cell.outputs)
    ]
    assert figures
    for cell in figures:
        assert 'class="reading"' in cell.outputs[-1].data["text/html"], cell.source
    after = state(home)
    looked = name == "02_walk_forward_training"  # what was earned out of sample was seen, and counts
    assert bool(after.pop("looks")) is looked and before.pop("looks") == []
    assert after == before
    assert [path.name for path in output.parent.iterdir()] == ["executed.ipynb"]


def test_the_tuning_notebook_searches_by_an_objective_of_ones_own_where_that_is_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(surface, "tune", lambda settings, run_dir, **own: asked.append(own))
    cells = nbformat.read(paths.notebooks() / "06_strategy_tuning.ipynb", as_version=4).cells
    mine = [cell.source for cell in cells if cell.source.startswith(("def ", "ranges = ", "mine = "))]
    for own in (False, True):
        names = {"bq": bq, "settings": None, "run_dir": "", "own": own}
        for source in mine:
            exec(source, names)
    nothing, found = asked
    assert len(mine) == 3 and nothing == {}
    assert found["objective"](pl.DataFrame({"value": [0.01, -0.02]})) == pytest.approx(252 * -0.005 - 0.02)
    assert found["search"] == {"exit.exit_ma": [20, 50], "exit.max_holding_days": range(20, 121, 20)}
