"""What CONTRIBUTING says one opens to add a thing is enough: each is added here in twenty lines, and taken up."""

import inspect
import re
import shutil
import subprocess
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import bq
from bq import __main__ as program
from bq import strategies
from bq.core import db, migrate
from bq.core.settings import Learning, Market, Policy, Simulation
from bq.learning import layers
from bq.learning.layers import CLASSIFICATION, LAYERS, Layer, Range
from bq.monitoring import records  # noqa: F401  its tables are compared too, as the next ones'
from bq.serving import journal, ledger  # noqa: F401
from bq.strategies.contract import Strategy
from bq.strategies.events import FeatureSet
from bq.trading import ledger as trades  # noqa: F401
from tests.strategies import reversal_strategy
from tests.strategies.reversal_strategy import ReversalSettings

ROOT = Path(__file__).resolve().parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
MOST_LINES = 20


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty home."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    monkeypatch.delenv("BQ_DATABASE_URL", raising=False)
    return tmp_path


def settings_of(**learning) -> ReversalSettings:
    """A small market, and what is asked of the training."""
    small = {"features": "reversal_v1", "model": "elastic_net", "folds": 2, "test_days": 200, "newest_days": 90}
    simulated = Market(source="simulated", simulation=Simulation(symbols=4, sessions=900))
    return ReversalSettings(market=simulated, learning=Learning(**small | learning), policy=Policy(k=2))


def add_base_model(patch: pytest.MonkeyPatch) -> None:
    """An entry in LAYERS of bq/learning/layers.py."""

    def random_forest(seed: int, **hyperparameters):
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(20, random_state=seed, **hyperparameters)

    layer = Layer(random_forest, {"min_samples_leaf": Range(50, low=5, high=500, log=True)})
    patch.setitem(LAYERS, ("random_forest", CLASSIFICATION), layer)


def add_strategy(patch: pytest.MonkeyPatch) -> None:
    """A module with a STRATEGY, registered in bq/strategies/__init__.py."""
    patch.setitem(strategies.MODULES, "reversal", "tests.strategies.reversal_strategy")


def add_feature(patch: pytest.MonkeyPatch) -> Strategy:
    """A column in the strategy's build, and its name in a new FeatureSet of its table."""
    old = reversal_strategy.STRATEGY

    def build(market, settings, wanted):
        made = old.table.build(market, settings, wanted)
        return made._replace(events=made.events.with_columns(steepness=pl.col("change").abs()))

    sets = [*old.table.feature_sets, FeatureSet("reversal_v2", ("change", "steepness"))]
    new = replace(old, table=replace(old.table, build=build, feature_sets=sets))
    patch.setattr(reversal_strategy, "STRATEGY", new)
    return new


def add_table(patch: pytest.MonkeyPatch, scripts: Path) -> sa.Table:
    """A table beside the code that owns it, a script in bq/core/migrations, and db.HEAD."""
    number = f"{int(db.HEAD) + 1:04d}"
    (scripts / f"revision_{number}.py").write_text(
        f'"""Fills."""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\n'
        f'revision, down_revision = "{number}", "{db.HEAD}"\n\n\n'
        "def upgrade() -> None:\n"
        '    """Make the table."""\n'
        '    at = sa.Column("at_utc", sa.DateTime(timezone=True), nullable=False)\n'
        '    op.create_table("fills", sa.Column("fill_id", sa.Integer, primary_key=True), at)\n'
    )
    patch.setattr(db, "HEAD", number)
    at = sa.Column("at_utc", db.UTC, nullable=False)
    return sa.Table("fills", db.metadata, sa.Column("fill_id", sa.Integer, primary_key=True), at)


def add_make_target(patch: pytest.MonkeyPatch, makefile: Path) -> None:
    """A rule with its line of help in the Makefile, an entry in TARGETS of bq/__main__.py, a module in bq/jobs."""
    rule = "rehearse: $(READY) ## say the strategy's name\n\t@$(BQ) rehearse\n"
    makefile.write_text(makefile.read_text().replace("lab: $(READY)", f"{rule}lab: $(READY)"))
    patch.setitem(program.TARGETS, "rehearse", ("rehearse", "main"))
    job = types.ModuleType("bq.jobs.rehearse")
    job.main = lambda request: print(request.strategy.name)
    patch.setitem(__import__("sys").modules, job.__name__, job)


ADDED = {
    "base model": (add_base_model, ["bq/learning/layers.py"]),
    "feature": (add_feature, ["FeatureSet"]),
    "strategy": (add_strategy, ["bq/strategies/__init__.py", "bq/strategies/contract.py"]),
    "database table": (add_table, ["bq/core/migrations/", "bq/core/db.py"]),
    "make target": (add_make_target, ["Makefile", "bq/__main__.py", "bq/jobs/"]),
}


@pytest.mark.parametrize(("what", "added"), ADDED.items(), ids=ADDED)
def test_what_is_added_is_short_and_contributing_names_its_files(what, added: tuple[Callable, list[str]]):
    how, named = added
    assert len(inspect.getsource(how).splitlines()) <= MOST_LINES
    row = next(line for line in CONTRIBUTING.splitlines() if line.startswith(f"| {what} |"))
    assert [name for name in named if name not in row] == []


def test_every_file_that_contributing_names_is_there():
    named = re.findall(r"`((?:bq|tests|docs|parameters|notebooks)/[\w/.*]+)`", CONTRIBUTING)
    assert len(named) > 10
    assert [name for name in named if "000N" not in name and not any(ROOT.glob(name.rstrip("/")))] == []


def test_a_base_model_is_taken_by_training(home, monkeypatch):
    add_strategy(monkeypatch)
    add_base_model(monkeypatch)
    assert "random_forest" in layers.names(CLASSIFICATION)
    settings = settings_of(model="random_forest", hyperparameters={"random_forest": {"min_samples_leaf": 20}})
    made = bq.candidate(bq.events(settings), settings)
    assert made.artefact.bundle.model == "random_forest" and made.parity.holds


def test_a_feature_is_taken_by_training(home, monkeypatch):
    add_strategy(monkeypatch)
    new, settings = add_feature(monkeypatch), settings_of(features="reversal_v2")
    made = bq.candidate(bq.events(settings), settings)
    assert made.artefact.bundle.columns == list(new.features(settings).columns) == ["change", "steepness"]


def test_a_strategy_is_taken_by_every_verb(home, monkeypatch):
    add_strategy(monkeypatch)
    settings = settings_of()
    assert set(bq.score(bq.events(settings).tail(4), settings)["tier"]) == {3}


def test_a_table_is_made_by_its_script(home, monkeypatch):
    scripts = Path(shutil.copytree(migrate.SCRIPTS, home / "migrations"))
    monkeypatch.setattr(migrate, "SCRIPTS", scripts)
    table = add_table(monkeypatch, scripts)
    try:
        with db.engine().connect() as connection:
            assert sa.inspect(connection).has_table("fills")
            assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []
    finally:
        db.metadata.remove(table)


def test_a_make_target_is_in_the_help_and_runs(home, monkeypatch, capsys):
    makefile = Path(shutil.copy(ROOT / "Makefile", home / "Makefile"))
    add_make_target(monkeypatch, makefile)

    def make(*words: str) -> str:
        return subprocess.run(
            ["make", "-f", makefile, *words], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

    assert "say the strategy's name" in make("help", "ALL=1")
    assert "-m bq rehearse" in make("-n", "rehearse")
    assert program.main(["rehearse"]) == 0
    assert capsys.readouterr().out == "butterfly\n"
