"""A notebook that a person runs never deploys: `models/`, the database and `outputs/` stay as they were."""

import nbformat
import pytest
import sqlalchemy as sa

from bq.core import db, paths
from bq.core.namespace import Namespace
from bq.serving import registry
from bq.workbench import notebooks

SMALL = (
    "market.simulation.symbols=4 market.simulation.sessions=1200 events.first=2012-01-02 learning.folds=2 "
    "learning.test_days=240 learning.compare=[] gate.draws=1000 gate.top_k=1"
)


def state(home) -> dict:
    """Content and time of every file of models/ and outputs/, and every row of the database."""
    kept = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in home.glob("models/**/*") if path.is_file()}
    tables = sa.MetaData()
    with db.engine().connect() as connection:
        tables.reflect(connection)
        rows = {name: connection.execute(sa.select(table)).all() for name, table in tables.tables.items()}
    return {"models": kept, "rows": rows, "outputs": sorted(home.glob("outputs/**/*"))}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with a deployed model and its row in the journal."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BQ_WORKERS", "1")
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    registry.deploy(
        Namespace.parse("butterfly-simulated"),
        registry.Artefact(b"graph", {"strategy": "butterfly"}, {}),
        reason="test",
    )
    return tmp_path / "home"


def test_training_by_hand_runs_to_its_end_and_changes_neither_models_nor_rows(home, tmp_path):
    before = state(home)
    assert len(before["models"]) == 5 and len(before["rows"]["deployments"]) == 1
    output = tmp_path / "by hand" / "02.ipynb"
    notebooks.execute(
        paths.notebooks() / "02_walk_forward_training.ipynb",
        output,
        parameters={"params": str(paths.CHECKOUT / "parameters/simulated/butterfly.yaml"), "overrides": SMALL},
        run_dir=output.parent,
        cell_timeout_seconds=240,
        deadline_seconds=280,
    )
    last = nbformat.read(output, as_version=4).cells
    printed = "".join(out.get("text", "") for cell in last if cell.cell_type == "code" for out in cell.outputs)
    assert "Run by hand: nothing was saved and nothing can be deployed." in printed
    assert state(home) == before
    assert [path.name for path in output.parent.iterdir()] == ["02.ipynb"]
